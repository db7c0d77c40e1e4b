import json
import pathlib

import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.presets import features as preset_features
from fedjax_asr.speech import audio, features, inversion

_SPEECH = (
  pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'librispeech_100'
)
_KINDS = {
  'log_mel': config.FeaturesConfig(),
  'log_spectrogram': config.FeaturesConfig(
    kind=config.FeatureKind.LOG_SPECTROGRAM,
    num_features=161,
    fft_size=320,
    window_ms=20.0,
  ),
  'mfcc': preset_features.mfcc(),
  # Windows much shorter than the Fourier transform.
  'short': config.FeaturesConfig(
    kind=config.FeatureKind.LOG_SPECTROGRAM, num_features=513, fft_size=1024
  ),
}


def _voice(seconds=1.0, rate=16_000):
  """Harmonics under a gliding pitch, with pauses and some noise."""
  time = np.arange(round(seconds * rate)) / rate
  phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * time)) / rate
  voice = sum(np.sin(k * phase) / k for k in range(1, 30))
  noise = np.random.default_rng(0).normal(size=len(time))
  envelope = np.clip(np.sin(5 * np.pi * time), 0, 1)
  return 0.1 * envelope * voice + 0.002 * noise


def _normalized(waveform, cfg):
  extracted = features.extract(waveform, cfg)
  values = features.normalize(extracted, config.Normalization.UTTERANCE)
  return values, features.statistics([extracted])


def _correlation(x, y):
  return np.corrcoef(x.ravel(), y.ravel())[0, 1]


@pytest.mark.parametrize('kind', _KINDS)
def test_inverted_waveforms_have_the_features_they_come_from(kind):
  cfg = _KINDS[kind]
  values, statistics = _normalized(_voice(), cfg)
  waveform = inversion.waveform(values, cfg, statistics, num_iterations=30)
  again = features.extract(waveform, cfg)
  assert again.shape == values.shape
  restored = inversion.denormalized(values, statistics)
  assert abs(np.mean(again - restored)) < 0.3  # Nepers: the level is kept.
  again = features.normalize(again, config.Normalization.UTTERANCE)
  assert _correlation(again, values) > 0.9
  # Frames are where they were, neither late nor early.
  for lag in (1, 2):
    for x, y in ((again, values), (values, again)):
      assert _correlation(x[lag:], y[:-lag]) < _correlation(again, values)


@pytest.mark.parametrize('kind', _KINDS)
def test_inverted_librispeech_has_the_features_it_comes_from(kind):
  if not _SPEECH.is_dir():
    pytest.skip(f'{_SPEECH} is not there')
  lines = (_SPEECH / 'manifest.jsonl').read_text().splitlines()
  rows = sorted(map(json.loads, lines), key=lambda row: row['duration'])
  samples = audio.read(_SPEECH / rows[0]['audio_filepath'], 16_000)
  cfg = _KINDS[kind]
  values, statistics = _normalized(samples, cfg)
  waveform = inversion.waveform(values, cfg, statistics)
  assert _correlation(_normalized(waveform, cfg)[0], values) > 0.9
  extracted = inversion.denormalized(values, statistics)
  assert _correlation(features.extract(waveform, cfg), extracted) > 0.95


def test_without_statistics_features_are_taken_as_they_are():
  cfg = _KINDS['log_spectrogram']
  values, statistics = _normalized(_voice(0.2), cfg)
  np.testing.assert_allclose(
    inversion.waveform(inversion.denormalized(values, statistics), cfg),
    inversion.waveform(values, cfg, statistics),
    atol=1e-6,
  )


@pytest.mark.parametrize('kind', _KINDS)
@pytest.mark.parametrize('value', [np.nan, np.inf, -1e30, 1e30, 0.0])
def test_any_features_give_finite_samples_within_full_scale(kind, value):
  cfg = _KINDS[kind]
  values = np.full((4, cfg.num_features), value, np.float32)
  waveform = inversion.waveform(values, cfg, num_iterations=2)
  assert np.abs(waveform).max() <= 1  # False for NaN.
  assert features.num_frames(len(waveform), cfg) == 4


def test_ends_are_no_louder_than_the_speech_between():
  cfg = _KINDS['log_spectrogram']
  noise = 0.1 * np.random.default_rng(0).normal(size=8000)
  waveform = inversion.waveform(features.extract(noise, cfg), cfg)
  loudest = np.abs(waveform[1000:-1000]).max()
  assert np.abs(waveform[:100]).max() < 1.2 * loudest
  assert np.abs(waveform[-100:]).max() < 1.2 * loudest


def test_denormalized_inverts_normalize():
  values = np.random.default_rng(0).normal(3, 2, (30, 4)).astype(np.float32)
  values[:, 1] = 5  # Constant.
  statistics = features.statistics([values])
  for normalization in (
    config.Normalization.UTTERANCE,
    config.Normalization.GLOBAL,
  ):
    normal = features.normalize(values, normalization, statistics)
    restored = inversion.denormalized(normal, statistics)
    np.testing.assert_allclose(restored, values, atol=1e-5)


def test_no_frames_and_precomputed_features_are_refused():
  cfg = config.FeaturesConfig()
  with pytest.raises(ValueError, match='no frames'):
    inversion.waveform(np.zeros((0, 80)), cfg)
  cfg.kind = config.FeatureKind.PRECOMPUTED
  with pytest.raises(ValueError, match='precomputed'):
    inversion.waveform(np.zeros((3, 80)), cfg)


def test_wav_files_are_16_bit_and_hold_the_samples(tmp_path):
  samples = np.array([0, 0.5, -1, 1, -0.25], np.float32)
  path = tmp_path / 'speech.wav'
  inversion.write(path, samples, 16_000)
  info = soundfile.info(path)
  assert (info.subtype, info.samplerate) == ('PCM_16', 16_000)
  np.testing.assert_allclose(audio.read(path, 16_000), samples, atol=1e-4)


def test_a_wav_file_that_cannot_be_written_is_named(tmp_path):
  path = tmp_path / 'missing' / 'speech.wav'
  with pytest.raises(audio.AudioError, match=r'speech\.wav: No such'):
    inversion.write(path, np.zeros(3), 16_000)
