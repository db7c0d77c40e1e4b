"""How close a reconstruction is to the speech it should be.

The only module of this room that sees the truth, besides those that make it.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.speech import features as features_lib
from fedjax_asr.speech import inversion

# An exact reconstruction has no finite SNR and JSON no infinity; the precision
# of float32 ends near 150 dB.
MAX_SNR_DB = 200.0
MAX_LAG = 40
NUM_CEPSTRA = 13
# Mel bands through which the cepstra of a spectrogram are taken: as many as
# have a bin of their own at the usual sizes of a Fourier transform.
_SPECTROGRAM_MELS = 40
# exp() of twice as much is a float64 still.
_MAX_LOG = 300.0

Features = Float[np.ndarray, '_ features']


class Truth(NamedTuple):
  """An utterance as the client had it, in the model's input units.

  statistics: what it was normalised by; None where it was not.
  """

  utterance: str
  features: Features
  statistics: features_lib.Statistics | None = None


class Score(NamedTuple):
  """All finite, or None where there is no reconstruction to score.

  Both are compared on the frames of the longer one, the shorter padded with
  zeros, unless said otherwise.

  snr_db: 10 log10(sum x^2 / sum (x - xhat)^2), within +-`MAX_SNR_DB`.
  shape_snr_db: `snr_db` after the best scalar factor, sign included:
    -10 log10(1 - <x, xhat>^2 / (<x, x> <xhat, xhat>)); never less, and 0 or
    more but of silence. What is known where the scale is not.
  mae: mean of |x - xhat|.
  correlation: Pearson's over all entries; 0 where either is constant.
  best_lag_correlation: the same at the best time lag, over the frames that
    both have; they must be half of the longer one or more.
  lag_frames: at which the reconstruction is so many frames late.
  mcd_db: `cepstral_distortion`; None where it is not defined.
  num_frames, num_frames_found: of the truth and of the reconstruction.
  """

  snr_db: float | None
  shape_snr_db: float | None
  mae: float | None
  correlation: float | None
  best_lag_correlation: float | None
  lag_frames: int | None
  mcd_db: float | None
  num_frames: int
  num_frames_found: int


def paired(
  truths: Sequence[Truth], found: Sequence[Features], max_lag: int = MAX_LAG
) -> tuple[Features, ...]:
  """What was reconstructed of each utterance, in the order of `truths`.

  The one-to-one pairing of greatest total best-lag correlation, since an
  attack cannot know the order. Without frames where there are fewer
  reconstructions than utterances; what is left over of more is dropped.
  """
  import scipy.optimize  # Here, because it takes long to import.

  usable = [_usable(item, truths[0].features.shape[1]) for item in found]
  gains = np.array(
    [
      [_best_lag(truth.features, item, max_lag)[0] for item in usable]
      for truth in truths
    ]
  ).reshape(len(truths), len(usable))
  rows, columns = scipy.optimize.linear_sum_assignment(gains, maximize=True)
  partner = dict(zip(rows.tolist(), columns.tolist(), strict=True))
  return tuple(
    usable[partner[row]] if row in partner else truth.features[:0]
    for row, truth in enumerate(truths)
  )


def score(
  truth: Truth,
  found: Features,
  cfg: config.FeaturesConfig,
  max_lag: int = MAX_LAG,
) -> Score:
  """Scores one reconstruction; one that is not finite counts as no frames.

  Without frames there is nothing to score: all but the lengths is None.

  Raises:
    ValueError: `found` has another number of features.
  """
  wanted = truth.features.astype(np.float64)
  found = _usable(found, wanted.shape[1])
  if not len(found):
    return _nothing(len(wanted))
  x, xhat = _padded(wanted, found)
  best, lag = _best_lag(wanted, found, max_lag)
  return Score(
    snr_db=_snr_db(x, xhat),
    shape_snr_db=_shape_snr_db(x, xhat),
    mae=float(np.abs(x - xhat).mean()) if x.size else 0.0,
    correlation=_correlation(x, xhat),
    best_lag_correlation=best,
    lag_frames=lag,
    mcd_db=cepstral_distortion(truth, found, cfg),
    num_frames=len(wanted),
    num_frames_found=len(found),
  )


def _nothing(num_frames: int) -> Score:
  return Score(
    snr_db=None,
    shape_snr_db=None,
    mae=None,
    correlation=None,
    best_lag_correlation=None,
    lag_frames=None,
    mcd_db=None,
    num_frames=num_frames,
    num_frames_found=0,
  )


def cepstral_distortion(
  truth: Truth, found: Features, cfg: config.FeaturesConfig
) -> float | None:
  """Mel-cepstral distortion in dB (Kubichek 1993), mean over common frames.

  With C the orthonormal DCT-II of the natural logarithm of the power in M mel
  bands, the distortion of a frame is

    10 / ln 10 * sqrt(sum_{d=1..13} (C_d - Chat_d)^2 / M),

  the root mean square over bands, in dB, between the two spectra as 13 cepstra
  draw them, level (C_0) aside. It is Kubichek's 10 / ln 10 * sqrt(2 sum_d
  (c_d - chat_d)^2), whose c_d are coefficients of the logarithm of the
  amplitude, ln|S| = c_0 + sum_d c_d cos: c_d = C_d / sqrt(2 M). The DCT's own
  scale in its place would give sqrt(2 M) times as much. A spectrogram is
  gathered in 40 bands.

  Both are first de-normalised by the truth's statistics. None where there are
  no common frames, or the features are precomputed.
  """
  num_frames = min(len(truth.features), len(found))
  if cfg.kind is config.FeatureKind.PRECOMPUTED or not num_frames:
    return None
  wanted, given = (
    _cepstra(_restored(values[:num_frames], truth.statistics), cfg)
    for values in (truth.features, found)
  )
  num_mels = _num_mels(cfg)
  squares = ((wanted - given) ** 2).sum(1) / num_mels
  return float(10 / np.log(10) * np.sqrt(squares).mean())


def _cepstra(values: np.ndarray, cfg: config.FeaturesConfig) -> np.ndarray:
  chosen = slice(1, NUM_CEPSTRA + 1)
  if cfg.kind is config.FeatureKind.MFCC:
    return values[:, chosen]
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    values = _log_mel(values, cfg)
  return values @ features_lib.dct_basis(values.shape[1])[:, chosen]


def _log_mel(
  log_magnitude: np.ndarray, cfg: config.FeaturesConfig
) -> np.ndarray:
  bands = dataclasses.replace(
    cfg,
    num_mels=_SPECTROGRAM_MELS,
    low_hz=0.0,
    high_hz=cfg.sample_rate / 2,
  )
  power = np.exp(2 * np.clip(log_magnitude, -_MAX_LOG, _MAX_LOG))
  mel = power @ features_lib.mel_filters(bands)
  return np.log(np.maximum(mel, cfg.log_floor**2))


def _num_mels(cfg: config.FeaturesConfig) -> int:
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    return _SPECTROGRAM_MELS
  return cfg.num_mels


def _restored(
  values: np.ndarray, statistics: features_lib.Statistics | None
) -> np.ndarray:
  if statistics is None:
    return values.astype(np.float64)
  return inversion.denormalized(values, statistics)


def _usable(found: np.ndarray, num_features: int) -> np.ndarray:
  """In float64; without frames where a value is not finite in float32."""
  if found.shape[1:] != (num_features,):
    raise ValueError(
      f'a reconstruction of shape {found.shape}; want [frames, {num_features}].'
    )
  finite = np.abs(found) <= np.finfo(np.float32).max  # False for NaN.
  return found.astype(np.float64) if finite.all() else found[:0]


def _padded(x: np.ndarray, xhat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  length = max(len(x), len(xhat))
  x, xhat = (
    np.pad(values, ((0, length - len(values)), (0, 0))) for values in (x, xhat)
  )
  return x, xhat


def _snr_db(x: np.ndarray, xhat: np.ndarray) -> float:
  return ratio_db(float(np.sum(x**2)), float(np.sum((x - xhat) ** 2)))


def ratio_db(signal: float, noise: float) -> float:
  """10 log10(signal / noise), within +-`MAX_SNR_DB`."""
  if not noise:
    return MAX_SNR_DB
  if not signal:
    return -MAX_SNR_DB
  ratio = 10 * (np.log10(signal) - np.log10(noise))
  return float(np.clip(ratio, -MAX_SNR_DB, MAX_SNR_DB))


def _shape_snr_db(x: np.ndarray, xhat: np.ndarray) -> float:
  signal, found = np.linalg.norm(x), np.linalg.norm(xhat)
  if not signal or not found:
    return _snr_db(x, xhat)  # No factor changes anything.
  x, xhat = x / signal, xhat / found
  # |x - <x, xhat> xhat|^2 is 1 - <x, xhat>^2 without cancellation.
  return _snr_db(x, np.sum(x * xhat) * xhat)


def _correlation(x: np.ndarray, xhat: np.ndarray) -> float:
  if not x.size:
    return 0.0
  x, xhat = (_standardized(values) for values in (x, xhat))
  return float(np.clip((x * xhat).mean(), -1.0, 1.0))


def _standardized(values: np.ndarray) -> np.ndarray:
  """Zeros where the values are constant, to the precision of float64."""
  largest = np.abs(values).max()
  if not largest:
    return values
  values = values / largest  # Squares of small values would vanish.
  std = values.std()
  if std < 1e-12:
    return np.zeros_like(values)
  return (values - values.mean()) / std


def _best_lag(
  x: np.ndarray, xhat: np.ndarray, max_lag: int
) -> tuple[float, int]:
  """The best correlation and its lag, the shortest among equals."""
  longest = max(len(x), len(xhat))
  best = None
  for lag in sorted(range(-max_lag, max_lag + 1), key=abs):
    late, early = xhat[max(lag, 0) :], x[max(-lag, 0) :]
    overlap = min(len(late), len(early))
    if overlap and 2 * overlap >= longest:
      value = _correlation(early[:overlap], late[:overlap])
      if best is None or value > best[0]:
        best = value, lag
  return best or (_correlation(*_padded(x, xhat)), 0)
