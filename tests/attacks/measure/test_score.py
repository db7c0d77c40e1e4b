import json

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.measure import score
from fedjax_asr.speech import features

_LOG_MEL = config.FeaturesConfig()
_MFCC = config.FeaturesConfig(
  kind=config.FeatureKind.MFCC, num_features=20, num_mels=40
)
_SPECTROGRAM = config.FeaturesConfig(
  kind=config.FeatureKind.LOG_SPECTROGRAM, num_features=257
)


def _speech(frames=50, num_features=80, seed=0):
  """Smooth in time, as speech is."""
  noise = np.random.default_rng([seed, 1]).normal(size=(frames, num_features))
  smooth = [np.convolve(column, np.ones(4) / 2, 'same') for column in noise.T]
  return np.stack(smooth, 1).astype(np.float32)


def _truth(values, statistics=None):
  return score.Truth('u', values, statistics)


def _score(values, found, cfg=_LOG_MEL, **options):
  return score.score(_truth(values), found, cfg, **options)


def test_snr_and_mae_of_an_error_of_a_tenth():
  x = _speech()
  scored = _score(x, 1.1 * x)
  np.testing.assert_allclose(scored.snr_db, 20, atol=1e-4)
  np.testing.assert_allclose(scored.mae, 0.1 * np.abs(x).mean(), rtol=1e-4)
  np.testing.assert_allclose(scored.correlation, 1, atol=1e-9)


def test_an_exact_reconstruction_has_the_greatest_snr_and_fits_json():
  x = _speech()
  scored = _score(x, x)
  assert scored.snr_db == score.MAX_SNR_DB
  assert (scored.mae, scored.mcd_db, scored.lag_frames) == (0, 0, 0)
  assert scored.num_frames == scored.num_frames_found == 50
  json.dumps(scored, allow_nan=False)


@pytest.mark.parametrize('factor', [-3.0, 1e-3, 1.0])
def test_shape_is_scored_at_the_best_factor(factor):
  """The closed form against the error that least squares leaves."""
  x, noise = _speech(), 0.1 * _speech(seed=1)
  found = (factor * (x + noise)).astype(np.float64)
  scored = _score(x, found)
  best = (x * found).sum() / (found**2).sum()
  error = ((x - best * found) ** 2).sum()
  np.testing.assert_allclose(
    scored.shape_snr_db, 10 * np.log10((x**2).sum() / error), rtol=1e-6
  )
  assert scored.shape_snr_db > 15
  assert scored.snr_db <= scored.shape_snr_db + 1e-9


def test_exact_shape_of_the_wrong_size_and_sign_is_exact():
  scored = _score(_speech(), -0.01 * _speech().astype(np.float64))
  assert scored.shape_snr_db > 120
  assert scored.snr_db < 0


def test_frames_that_were_not_found_count_as_zeros():
  x = _speech()
  scored = _score(x, x[:40])
  wanted = 10 * np.log10((x**2).sum() / (x[40:] ** 2).sum())
  np.testing.assert_allclose(scored.snr_db, wanted, rtol=1e-5)
  np.testing.assert_allclose(scored.best_lag_correlation, 1, atol=1e-9)
  assert scored.correlation < 0.99
  assert (scored.num_frames, scored.num_frames_found) == (50, 40)


def test_frames_beyond_the_end_count_against_silence():
  x = _speech()
  longer = np.concatenate([x, 2 * x[:10]])
  wanted = 10 * np.log10((x**2).sum() / (4 * x[:10] ** 2).sum())
  np.testing.assert_allclose(_score(x, longer).snr_db, wanted, rtol=1e-5)


@pytest.mark.parametrize('lag', [-7, 0, 3])
def test_lag_is_how_late_the_reconstruction_is(lag):
  x = _speech(80)
  scored = _score(x[10:60], 3 * x[10 - lag : 60 - lag] + 1)
  assert scored.lag_frames == lag
  np.testing.assert_allclose(scored.best_lag_correlation, 1, atol=1e-6)
  if lag:
    assert scored.correlation < 0.8


def test_no_lag_is_looked_at_beyond_the_greatest():
  x = _speech(80)
  scored = _score(x[10:60], x[2:52], max_lag=5)
  assert abs(scored.lag_frames) <= 5
  assert scored.best_lag_correlation < 0.8


@pytest.mark.parametrize('frames', [10, 50, 60])
def test_silence_has_an_snr_and_a_correlation_of_zero(frames):
  scored = _score(_speech(), np.zeros((frames, 80)))
  assert scored.snr_db == 0
  assert scored.correlation == scored.best_lag_correlation == 0
  assert scored.num_frames_found == frames
  assert scored.mcd_db is not None
  json.dumps(scored, allow_nan=False)


def test_nothing_found_has_no_score():
  scored = _score(_speech(), np.zeros((0, 80)))
  lengths = scored._asdict().keys() & {'num_frames', 'num_frames_found'}
  assert len(lengths) == 2
  assert (scored.num_frames, scored.num_frames_found) == (50, 0)
  for name in scored._asdict().keys() - lengths:
    assert getattr(scored, name) is None


@pytest.mark.parametrize('value', [np.nan, np.inf, 1e39])
def test_what_is_not_finite_counts_as_nothing_found(value):
  x = _speech()
  found = x.astype(float)
  found[3, 4] = value
  assert _score(x, found) == _score(x, x[:0])


@pytest.mark.parametrize('scale', [1e-300, 1e30, 1e300])
def test_scores_are_finite_whatever_is_found(scale):
  scored = _score(_speech(), scale * _speech(seed=1).astype(float))
  json.dumps(scored, allow_nan=False)


def test_a_silent_truth_is_matched_by_silence_alone():
  x = np.zeros((20, 80), np.float32)
  assert _score(x, x).snr_db == score.MAX_SNR_DB
  assert _score(x, x + 1).snr_db == -score.MAX_SNR_DB
  assert _score(x, x + 1).correlation == 0


def test_another_number_of_features_is_refused():
  with pytest.raises(ValueError, match=r'\(50, 79\); want \[frames, 80\]'):
    _score(_speech(), _speech()[:, 1:])


def test_pairs_are_found_whatever_the_order_and_the_shift():
  speech = [_speech(70, seed=seed) for seed in range(4)]
  truths = [_truth(values[10:60]) for values in speech]
  order = (2, 0, 3, 1)
  found = [speech[index][12:58] for index in order]
  pairs = score.paired(truths, found)
  for values, pair in zip(speech, pairs, strict=True):
    np.testing.assert_array_equal(pair, values[12:58])


def test_pairing_is_best_in_total_and_not_one_after_another():
  x, y = _speech(seed=1), _speech(seed=2)
  # Both reconstructions are nearest to the first utterance.
  found = [x + 0.9 * y, x + 0.1 * y]
  pairs = score.paired([_truth(x), _truth(y)], found)
  np.testing.assert_allclose(pairs[0], found[1])
  np.testing.assert_allclose(pairs[1], found[0])


def test_missing_and_spare_reconstructions():
  x, y = _speech(seed=1), _speech(seed=2)
  missing, given = score.paired([_truth(x), _truth(y)], [y])
  assert missing.shape == (0, 80)
  np.testing.assert_array_equal(given, y)
  (kept,) = score.paired([_truth(y)], [x, y])
  np.testing.assert_array_equal(kept, y)
  nothing = score.paired([_truth(x), _truth(y)], [])
  assert [len(values) for values in nothing] == [0, 0]


def test_distortion_of_a_spectral_ripple_is_its_effective_value_in_db():
  # A ripple of 3 dB effective value over the bands, at the fifth cepstrum.
  bands = np.cos(np.pi * 5 * (np.arange(80) + 0.5) / 80)
  ripple_db = 3 * np.sqrt(2) * bands
  x = _speech()
  found = x + ripple_db * np.log(10) / 10
  np.testing.assert_allclose(_score(x, found).mcd_db, 3, rtol=1e-5)


def test_distortion_knows_neither_level_nor_fine_structure():
  x = _speech()
  fine = np.cos(np.pi * 20 * (np.arange(80) + 0.5) / 80)
  assert _score(x, x + 5).mcd_db < 1e-5
  assert _score(x, x + fine).mcd_db < 1e-5


def test_cepstra_and_their_log_mel_bands_have_one_distortion():
  cfg = config.FeaturesConfig(num_mels=40, num_features=40)
  x, found = _speech(num_features=40), _speech(num_features=40, seed=1)
  basis = features.dct_basis(40)[:, :20]
  np.testing.assert_allclose(
    _score(x, found, cfg).mcd_db,
    _score(x @ basis, found @ basis, _MFCC).mcd_db,
    rtol=1e-5,
  )


def test_distortion_of_spectrograms_is_near_that_of_log_mel_bands():
  waveform = np.random.default_rng(0).normal(size=8000)
  tilted = np.convolve(waveform, [1, -0.9])
  log_mel = config.FeaturesConfig(num_mels=40, num_features=40)
  pairs = [
    [features.extract(signal, cfg) for signal in (waveform, tilted[:8000])]
    for cfg in (log_mel, _SPECTROGRAM)
  ]
  bands = _score(*pairs[0], log_mel).mcd_db
  spectrum = _score(*pairs[1], _SPECTROGRAM).mcd_db
  np.testing.assert_allclose(spectrum, bands, rtol=1e-4)
  assert bands > 5


def test_distortion_is_of_speech_as_it_was_before_normalisation():
  x, found = _speech(), _speech(seed=1)
  mean = np.linspace(-5, 5, 80).astype(np.float32)
  std = np.linspace(1, 3, 80).astype(np.float32)
  truth = _truth((x - mean) / std, features.Statistics(mean, std))
  scored = score.score(truth, (found - mean) / std, _LOG_MEL)
  np.testing.assert_allclose(scored.mcd_db, _score(x, found).mcd_db, rtol=1e-4)


def test_precomputed_features_have_no_distortion():
  cfg = config.FeaturesConfig(kind=config.FeatureKind.PRECOMPUTED)
  assert _score(_speech(), _speech(), cfg).mcd_db is None
