"""Features from what `forward.json` says alone, by NumPy alone."""

import json
import re

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import analysis, features

KIND = config.FeatureKind
CONFIGS = {
  'log_mel': config.FeaturesConfig(),
  'mfcc': config.FeaturesConfig(
    kind=KIND.MFCC, num_features=26, num_mels=40, window_ms=32.0, hop_ms=20.0
  ),
  'log_spectrogram': config.FeaturesConfig(
    kind=KIND.LOG_SPECTROGRAM, num_features=161, fft_size=320, window_ms=20.0
  ),
  'ranged': config.FeaturesConfig(dynamic_range_db=12.0),
  'ranged_spectrogram': config.FeaturesConfig(
    kind=KIND.LOG_SPECTROGRAM,
    num_features=161,
    fft_size=320,
    window_ms=20.0,
    dynamic_range_db=12.0,
  ),
  'telephone': config.FeaturesConfig(
    sample_rate=8000, fft_size=256, high_hz=4000.0, low_hz=60.0, num_mels=40
  ),
}


def _read(said, fields, waveform):
  window, hop = said['window_samples'], said['hop_samples']
  count = 1 + max(0, -(-(len(waveform) - window) // hop))
  padded = np.zeros((count - 1) * hop + window)
  padded[: len(waveform)] = waveform
  hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
  frames = [padded[i * hop : i * hop + window] * hann for i in range(count)]
  power = np.abs(np.fft.rfft(frames, said['fft_size'])) ** 2
  if 'bands' not in said:
    return _ranged(np.log(np.maximum(np.sqrt(power), said['log_floor'])), said)
  edges = said['edges_hz']
  hertz = np.arange(power.shape[1]) * fields['sample_rate'] / said['fft_size']
  bands = [
    np.interp(hertz, (low, peak, high), (0, 1, 0)) * 2 / (high - low)
    for low, peak, high in zip(edges, edges[1:], edges[2:], strict=False)
  ]
  log_mel = np.log(np.maximum(power @ np.transpose(bands), said['log_floor']))
  log_mel = _ranged(log_mel, said)
  return log_mel @ np.array(said['dct']) if 'dct' in said else log_mel


def _ranged(logarithms, said):
  found = re.search('largest of all frames less ([0-9.]+)', said['features'])
  if not found:
    return logarithms
  return np.maximum(logarithms, logarithms.max() - float(found[1]))


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('num_samples', [90, 6001])
def test_what_is_said_is_enough_to_compute_features(name, num_samples):
  cfg = CONFIGS[name]
  said = json.loads(json.dumps(analysis.described(cfg)))
  waveform = np.random.default_rng(0).normal(0, 0.1, num_samples)
  got = _read(said, config.as_dict(cfg), waveform)
  want = features.extract(waveform, cfg)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
  scaled = (got - got.mean(0)) / np.maximum(got.std(0), said['min_std'])
  wanted = features.normalize(want, cfg.normalization)
  np.testing.assert_allclose(scaled, wanted, atol=1e-3)


@pytest.mark.parametrize('num_mels', [20, 80])
def test_mel_edges_are_those_of_the_scale_as_it_is_said(num_mels):
  cfg = config.FeaturesConfig(num_mels=num_mels, low_hz=20.0)
  hertz = np.array(analysis.described(cfg)['edges_hz'])
  above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
  mel = np.where(hertz < 1000, hertz * 3 / 200, above)
  np.testing.assert_allclose(np.diff(mel, 2), 0, atol=1e-9)
  assert hertz[[0, -1]] == pytest.approx([20, 8000])


def test_normalisation_that_is_none_or_global_is_said():
  for kind, said in (('none', 'none'), ('global', '`statistics`')):
    cfg = config.FeaturesConfig(normalization=config.Normalization(kind))
    described = analysis.described(cfg)
    assert said in described['normalization']
    assert ('min_std' in described) is (kind == 'global')
