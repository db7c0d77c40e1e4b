import dataclasses
import json
import pathlib

import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.fft

from fedjax_asr import config
from fedjax_asr.speech import audio, features, jax_features

DATA = pathlib.Path(__file__).parents[2].parent / 'shared' / 'data'
LOG_MEL = config.FeaturesConfig()
LOG_SPECTROGRAM = config.FeaturesConfig(
  kind=config.FeatureKind.LOG_SPECTROGRAM,
  num_features=161,
  fft_size=320,
  window_ms=20.0,
)
MFCC = config.FeaturesConfig(
  kind=config.FeatureKind.MFCC,
  num_features=26,
  num_mels=40,
  window_ms=32.0,
  hop_ms=20.0,
)
KINDS = [LOG_MEL, LOG_SPECTROGRAM, MFCC]


def noise(num_samples, seed=0):
  return np.random.default_rng(seed).normal(0, 0.1, num_samples)


def librosa_spectrum(waveform, cfg):
  """librosa's transform of the same frames: it puts the window in the middle
  of the transform, so the waveform is moved by as much."""
  window = features.window_length(cfg)
  count = features.num_frames(len(waveform), cfg)
  left = (cfg.fft_size - window) // 2
  length = (count - 1) * features.hop_length(cfg) + cfg.fft_size
  padded = np.zeros(length)
  padded[left : left + len(waveform)] = waveform[: length - left]
  return librosa.stft(
    padded,
    n_fft=cfg.fft_size,
    hop_length=features.hop_length(cfg),
    win_length=window,
    center=False,
  )


@pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)
@pytest.mark.parametrize('num_samples', [1, 399, 400, 401, 560, 16_000])
def test_shape_is_what_num_frames_promises(cfg, num_samples):
  extracted = features.extract(noise(num_samples), cfg)
  count = features.num_frames(num_samples, cfg)
  assert extracted.shape == (count, cfg.num_features)
  assert extracted.dtype == np.float32
  assert np.isfinite(extracted).all()


@pytest.mark.parametrize(
  ('num_samples', 'frames'),
  [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (16_000, 99)],
)
def test_num_frames_by_hand(num_samples, frames):
  assert features.num_frames(num_samples, LOG_MEL) == frames


@pytest.mark.parametrize('num_samples', [401, 559, 560, 561, 1000])
def test_every_sample_lies_in_a_frame(num_samples):
  waveform = noise(num_samples)
  changed = waveform.copy()
  changed[-3:] += 1.0
  before, after = (features.extract(w, LOG_MEL) for w in (waveform, changed))
  assert not np.array_equal(before, after)


@pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)
def test_empty_waveforms_are_refused(cfg):
  with pytest.raises(ValueError, match='want >= 1'):
    features.extract(np.zeros(0), cfg)


@pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)
def test_digital_silence_is_the_floor(cfg):
  extracted = features.extract(np.zeros(4_000), cfg)
  floor = np.full(cfg.num_features, np.log(cfg.log_floor))
  if cfg.kind is config.FeatureKind.MFCC:
    floor = np.zeros(cfg.num_features)
    floor[0] = np.log(cfg.log_floor) * np.sqrt(cfg.num_mels)
  np.testing.assert_allclose(extracted[0], floor, rtol=1e-6, atol=1e-5)


def test_log_spectrogram_is_librosas():
  waveform = noise(8_000)
  wanted = np.log(np.abs(librosa_spectrum(waveform, LOG_SPECTROGRAM))).T
  extracted = features.extract(waveform, LOG_SPECTROGRAM)
  np.testing.assert_allclose(extracted, wanted, atol=1e-5)


@pytest.mark.parametrize(
  ('sample_rate', 'high_hz'), [(16_000, 8_000.0), (8_000, 3_800.0)]
)
def test_log_mel_is_librosas(sample_rate, high_hz):
  cfg = dataclasses.replace(
    LOG_MEL,
    sample_rate=sample_rate,
    num_mels=40,
    num_features=40,
    low_hz=20.0,
    high_hz=high_hz,
    log_floor=1e-12,
  )
  waveform = noise(8_000)
  power = np.abs(librosa_spectrum(waveform, cfg)) ** 2
  wanted = librosa.feature.melspectrogram(
    S=power, sr=sample_rate, n_mels=40, fmin=20.0, fmax=high_hz
  )
  extracted = features.extract(waveform, cfg)
  np.testing.assert_allclose(extracted, np.log(wanted).T, atol=1e-5)


def test_mfcc_is_librosas():
  cfg = dataclasses.replace(MFCC, log_floor=1e-12)
  waveform = noise(8_000)
  mel = librosa.feature.melspectrogram(
    S=np.abs(librosa_spectrum(waveform, cfg)) ** 2,
    sr=16_000,
    n_mels=40,
    fmax=8_000.0,
  )
  # librosa's decibels are natural logarithms times 10 / log(10).
  decibels = librosa.power_to_db(mel, top_db=None)
  wanted = librosa.feature.mfcc(S=decibels, n_mfcc=26) * np.log(10) / 10
  extracted = features.extract(waveform, cfg)
  np.testing.assert_allclose(extracted, wanted.T, atol=2e-5)


def test_dct_basis_is_scipys_and_orthonormal():
  basis = features.dct_basis(40)
  np.testing.assert_allclose(basis.T @ basis, np.eye(40), atol=1e-12)
  values = noise(40)
  wanted = scipy.fft.dct(values, norm='ortho')
  np.testing.assert_allclose(values @ basis, wanted, atol=1e-12)


def test_a_tone_stands_in_its_bin():
  times = np.arange(16_000) / 16_000
  waveform = np.sin(2 * np.pi * 1_000 * times)
  extracted = features.extract(waveform, LOG_SPECTROGRAM)
  assert (extracted[:-1].argmax(axis=1) == 1_000 / (16_000 / 320)).all()
  # A full-scale sine reaches half of the window's sum, 320 / 2.
  np.testing.assert_allclose(extracted[:-1, 20], np.log(80), atol=1e-6)


def test_the_floor_is_a_floor():
  cfg = dataclasses.replace(LOG_MEL, log_floor=1e-2)
  low = features.extract(noise(4_000), LOG_MEL)
  high = features.extract(noise(4_000), cfg)
  np.testing.assert_allclose(high, np.maximum(low, np.log(1e-2)), rtol=1e-6)
  assert (low < np.log(1e-2)).any()


@pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)
def test_a_dynamic_range_is_librosas_top_db(cfg):
  ranged = dataclasses.replace(cfg, dynamic_range_db=20.0)
  waveform = noise(8_000) * np.linspace(0, 1, 8_000) ** 4
  power = np.abs(librosa_spectrum(waveform, cfg)) ** 2
  if cfg.kind is not config.FeatureKind.LOG_SPECTROGRAM:
    power = librosa.feature.melspectrogram(
      S=power, sr=cfg.sample_rate, n_mels=cfg.num_mels, fmin=0.0, fmax=8000.0
    )
  decibels = librosa.power_to_db(power, amin=1e-20, top_db=20.0).T
  per_neper = 10 / np.log(10)
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    per_neper *= 2
  wanted = decibels / per_neper
  if cfg.kind is config.FeatureKind.MFCC:
    wanted = scipy.fft.dct(wanted, norm='ortho')[:, : cfg.num_features]
  extracted = features.extract(waveform, ranged)
  np.testing.assert_allclose(extracted, wanted, atol=1e-4)
  assert not np.allclose(extracted, features.extract(waveform, cfg), atol=1)


def test_with_a_dynamic_range_loudness_is_a_shift():
  cfg = dataclasses.replace(LOG_MEL, dynamic_range_db=30.0, log_floor=1e-30)
  loud, quiet = (
    features.extract(noise(4_000) * gain, cfg) for gain in (1.0, 1e-3)
  )
  np.testing.assert_allclose(loud - quiet, np.log(1e6), atol=1e-4)


def changed(cfg, field, value):
  return dataclasses.replace(cfg, **{field: value})


@pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)
@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('sample_rate', 16_384),
    ('fft_size', 1024),
    ('window_ms', 19.0),
    ('hop_ms', 8.0),
    ('num_mels', 64),
    ('low_hz', 300.0),
    ('high_hz', 4_000.0),
    ('log_floor', 1e-1),
    ('dynamic_range_db', 10.0),
    ('num_features', 20),
    ('normalization', config.Normalization.GLOBAL),
  ],
)
def test_settings_differ_exactly_where_features_do(cfg, field, value):
  other = changed(cfg, field, value)
  waveform = noise(4_000)
  same = np.array_equal(
    features.extract(waveform, cfg), features.extract(waveform, other)
  )
  assert same == (features.settings(cfg) == features.settings(other))


def test_settings_are_json():
  for cfg in KINDS:
    assert json.loads(json.dumps(features.settings(cfg))) == features.settings(
      cfg
    )


def test_utterance_normalisation_centres_and_scales():
  raw = noise(5_000).reshape(100, 50) * np.arange(1, 51) * 10 + 7
  normalized = features.normalize(raw, config.Normalization.UTTERANCE)
  assert normalized.dtype == np.float32
  np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=1e-5)
  np.testing.assert_allclose(normalized.std(axis=0), 1, atol=1e-5)


def test_constant_features_become_zero_and_nothing_blows_up():
  raw = np.full((30, 4), -11.5, np.float32)
  normalized = features.normalize(raw, config.Normalization.UTTERANCE)
  np.testing.assert_array_equal(normalized, 0)


@pytest.mark.parametrize('value', [-612.3, 1e-30, 0.0, 3e30])
@pytest.mark.parametrize('normalization', list(config.Normalization))
def test_constant_feature_is_finite_however_it_is_normalised(
  value, normalization
):
  raw = noise(90).reshape(30, 3).astype(np.float32)
  raw[:, 1] = value
  normalized = features.normalize(
    raw, normalization, features.statistics([raw])
  )
  assert np.isfinite(normalized).all()
  if normalization is not config.Normalization.NONE:
    np.testing.assert_array_equal(normalized[:, 1], 0)


def test_precomputed_features_cannot_be_computed():
  cfg = config.FeaturesConfig(kind=config.FeatureKind.PRECOMPUTED)
  with pytest.raises(ValueError, match=r'features\.kind='):
    features.extract(noise(4_000), cfg)
  with pytest.raises(ValueError, match=r'features\.kind='):
    jax_features.extract(jnp.asarray(noise(4_000)), cfg)


def test_one_frame_can_be_normalised():
  raw = np.arange(5, dtype=np.float32)[None]
  normalized = features.normalize(raw, config.Normalization.UTTERANCE)
  np.testing.assert_array_equal(normalized, 0)


def test_no_normalisation_changes_nothing():
  raw = noise(40).reshape(10, 4).astype(np.float32)
  normalized = features.normalize(raw, config.Normalization.NONE)
  np.testing.assert_array_equal(normalized, raw)


def test_global_normalisation_uses_the_corpus():
  statistics = features.Statistics(
    mean=np.float32([1, 2]), std=np.float32([2, 0])
  )
  normalized = features.normalize(
    np.float32([[3, 2], [1, 3]]), config.Normalization.GLOBAL, statistics
  )
  np.testing.assert_allclose(
    normalized, [[1, 0], [0, 1 / features.MIN_STD]], rtol=1e-6
  )
  with pytest.raises(ValueError, match='want those of the corpus'):
    features.normalize(np.zeros((2, 2)), config.Normalization.GLOBAL)


def test_statistics_are_those_of_all_frames_at_once():
  utterances = [noise(n * 3, seed=n).reshape(n, 3) + n for n in (1, 40, 7)]
  utterances.insert(1, np.zeros((0, 3)))
  together = np.concatenate(utterances)
  statistics = features.statistics(iter(utterances))
  np.testing.assert_allclose(statistics.mean, together.mean(0), rtol=1e-6)
  np.testing.assert_allclose(statistics.std, together.std(0), rtol=1e-6)


def test_statistics_do_not_cancel_far_from_zero():
  raw = noise(10_000).reshape(-1, 1) + 1e7
  statistics = features.statistics(np.split(raw, 10))
  np.testing.assert_allclose(statistics.std, raw.std(axis=0), rtol=1e-5)


def test_statistics_of_nothing_are_refused():
  for utterances in ([], [np.zeros((0, 3))]):
    with pytest.raises(ValueError, match='no frames'):
      features.statistics(utterances)


@pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)
def test_real_speech_gives_features_that_move(cfg):
  folder = DATA / 'librispeech_100' / 'flac'
  if not folder.exists():
    pytest.skip(f'{folder} is absent')
  waveform = audio.read(min(folder.iterdir()), 16_000)
  extracted = features.extract(waveform, cfg)
  seconds = len(extracted) * cfg.hop_ms / 1000
  assert seconds == pytest.approx(len(waveform) / 16_000, abs=0.05)
  assert extracted.std(axis=0).min() > 0.2


@pytest.mark.parametrize(
  ('sample_rate', 'fft_size', 'num_mels', 'low_hz', 'high_hz'),
  [
    (16_000, 512, 80, 0.0, 8000.0),
    (16_000, 512, 40, 130.0, 6800.0),
    (8000, 256, 26, 0.0, 4000.0),
    (44_100, 2048, 128, 0.0, 22_050.0),
    (22_050, 512, 20, 1200.0, 11_025.0),
  ],
)
def test_mel_bands_are_librosas(
  sample_rate, fft_size, num_mels, low_hz, high_hz
):
  cfg = config.FeaturesConfig(
    sample_rate=sample_rate,
    fft_size=fft_size,
    num_mels=num_mels,
    low_hz=low_hz,
    high_hz=high_hz,
  )
  wanted = librosa.filters.mel(
    sr=sample_rate,
    n_fft=fft_size,
    n_mels=num_mels,
    fmin=low_hz,
    fmax=high_hz,
    dtype=np.float64,
  )
  np.testing.assert_allclose(features.mel_filters(cfg), wanted.T, rtol=1e-12)


def test_a_band_between_two_bins_is_warned_of():
  cfg = config.FeaturesConfig(fft_size=64, window_ms=4.0, num_mels=79)
  with pytest.warns(UserWarning, match=r'features\.num_mels=79 .*fft_size=64'):
    features.mel_filters(cfg)
