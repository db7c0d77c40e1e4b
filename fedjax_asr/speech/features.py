"""Waveform to features in NumPy: the reference that `jax_features` follows.

Frame i covers the samples from i * hop on, one window long. The last frame is
padded with zeros, so every sample lies in a frame: there are
1 + ceil((samples - window) / hop) of them, and 1 where a waveform is shorter
than a window. Each is weighted by a periodic Hann window and its Fourier
transform taken over `fft_size`. With power p and floor f = `log_floor`:

  log_mel          log(max(mel @ p, f)), Slaney's bands of unit area
  log_spectrogram  log(max(sqrt(p), f))
  mfcc             the first coefficients of an orthonormal DCT-II of log_mel

With a `dynamic_range_db` the logarithms are raised to the largest of the
utterance less so many decibels: `top_db` of librosa.power_to_db.
"""

import functools
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from fedjax_asr import config
from fedjax_asr.speech import running

# Raised whenever `extract` gives other numbers for the same settings.
VERSION = 1
# Below this, a feature counts as constant: normalisation does not blow it up.
MIN_STD = 1e-2

# Of Slaney's mel scale.
_HZ_PER_MEL = 200 / 3
_KINK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


class Statistics(NamedTuple):
  """Mean and standard deviation of each feature over frames."""

  mean: Float32[np.ndarray, 'features']
  std: Float32[np.ndarray, 'features']


def extract(
  waveform: Float[np.ndarray, 'samples'], cfg: config.FeaturesConfig
) -> Float32[np.ndarray, 'frames features']:
  """Features of a waveform at `cfg.sample_rate`, not normalised.

  Finite for every finite waveform. Computed in float64.

  Raises:
    ValueError: the waveform is empty, or the features are precomputed.
  """
  check_kind(cfg)
  spectrum = np.fft.rfft(_frames(waveform, cfg), cfg.fft_size)
  magnitude = np.abs(spectrum)
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    log_magnitude = np.log(np.maximum(magnitude, cfg.log_floor))
    return _within_range(log_magnitude, cfg).astype(np.float32)
  mel = magnitude**2 @ mel_filters(cfg)
  log_mel = _within_range(np.log(np.maximum(mel, cfg.log_floor)), cfg)
  if cfg.kind is config.FeatureKind.MFCC:
    log_mel = log_mel @ dct_basis(cfg.num_mels)[:, : cfg.num_features]
  return log_mel.astype(np.float32)


def _within_range(
  logarithms: Float64[np.ndarray, 'frames bins'], cfg: config.FeaturesConfig
) -> Float64[np.ndarray, 'frames bins']:
  if not cfg.dynamic_range_db:
    return logarithms
  return np.maximum(logarithms, logarithms.max() - range_nepers(cfg))


def range_nepers(cfg: config.FeaturesConfig) -> float:
  """`dynamic_range_db` as a difference of the kind's logarithms."""
  is_magnitude = cfg.kind is config.FeatureKind.LOG_SPECTROGRAM
  return float(cfg.dynamic_range_db * np.log(10) / (20 if is_magnitude else 10))


def check_kind(cfg: config.FeaturesConfig) -> None:
  """Raises ValueError for features that cannot be computed from audio."""
  if cfg.kind is config.FeatureKind.PRECOMPUTED:
    raise ValueError(
      "config.features.kind='precomputed'; want a kind that is computed from "
      'audio.'
    )


def num_frames(num_samples: int, cfg: config.FeaturesConfig) -> int:
  """Frames that `extract` gives for so many samples.

  Raises:
    ValueError: there are no samples.
  """
  if num_samples < 1:
    raise ValueError(f'num_samples={num_samples}; want >= 1.')
  beyond = max(num_samples - window_length(cfg), 0)
  return 1 + -(-beyond // hop_length(cfg))


def window_length(cfg: config.FeaturesConfig) -> int:
  """Samples in a frame."""
  return round(cfg.window_ms * cfg.sample_rate / 1000)


def hop_length(cfg: config.FeaturesConfig) -> int:
  """Samples from one frame's start to the next."""
  return round(cfg.hop_ms * cfg.sample_rate / 1000)


def settings(cfg: config.FeaturesConfig) -> dict[str, Any]:
  """All that `extract`'s numbers depend on, as JSON takes it.

  Equal settings give equal features; fields that the kind does not use, and
  the normalisation, are left out.
  """
  if cfg.kind is config.FeatureKind.PRECOMPUTED:
    # Which files can be used depends on these.
    return {
      'kind': cfg.kind.value,
      'num_features': cfg.num_features,
      'hop_ms': cfg.hop_ms,
    }
  names = ['sample_rate', 'fft_size', 'window_ms', 'hop_ms', 'log_floor']
  if cfg.kind is not config.FeatureKind.LOG_SPECTROGRAM:
    names += ['num_mels', 'low_hz', 'high_hz']
  if cfg.kind is config.FeatureKind.MFCC:
    names += ['num_features']
  if cfg.dynamic_range_db:
    # Not otherwise: caches of before there was a range stay what they are.
    names += ['dynamic_range_db']
  chosen = {name: getattr(cfg, name) for name in names}
  return {'kind': cfg.kind.value, 'version': VERSION, **chosen}


def normalize(
  features: Float[np.ndarray, 'frames features'],
  normalization: config.Normalization,
  statistics: Statistics | None = None,
) -> Float32[np.ndarray, 'frames features']:
  """Features of mean 0 and deviation 1, over the utterance or a corpus, or by
  what was heard so far (`running`).

  Deviations under `MIN_STD` count as `MIN_STD`, so what is constant becomes 0.

  Raises:
    ValueError: global or running normalisation without `statistics`.
  """
  if statistics is None and normalization.has_statistics:
    raise ValueError('statistics=None; want those of the corpus.')
  match normalization:
    case config.Normalization.NONE:
      return features.astype(np.float32)
    case config.Normalization.UTTERANCE:
      mean = features.mean(axis=0, dtype=np.float64)
      std = features.std(axis=0, dtype=np.float64)
    case config.Normalization.GLOBAL:
      assert statistics is not None
      mean, std = statistics
    case config.Normalization.RUNNING:
      assert statistics is not None
      normal, _ = continued(features, running.start(*statistics))
      return normal
  return ((features - mean) / np.maximum(std, MIN_STD)).astype(np.float32)


def continued(
  features: Float[np.ndarray, 'frames features'], moments: running.Moments
) -> tuple[Float32[np.ndarray, 'frames features'], running.Moments]:
  """Running normalisation from `moments` on, and the moments to go on from."""
  means, variances, after = running.tracked(features, moments)
  std = np.maximum(np.sqrt(variances), MIN_STD)
  return ((features - means) / std).astype(np.float32), after


def statistics(
  utterances: Iterable[Float[np.ndarray, '_ features']],
) -> Statistics:
  """Statistics over the frames of all utterances together.

  One pass, one utterance in memory, float64 throughout: means and squared
  deviations are merged pairwise (Chan et al. 1979), which does not cancel.

  Raises:
    ValueError: there are no frames.
  """
  count, mean, squares = 0, np.zeros(()), np.zeros(())
  for features in utterances:
    if not len(features):
      continue
    total = count + len(features)
    shift = features.mean(axis=0, dtype=np.float64) - mean
    squares = squares + features.var(axis=0, dtype=np.float64) * len(features)
    squares = squares + shift**2 * (count * len(features) / total)
    mean = mean + shift * (len(features) / total)
    count = total
  if not count:
    raise ValueError('no frames; want one or more.')
  std = np.sqrt(squares / count)
  return Statistics(mean=mean.astype(np.float32), std=std.astype(np.float32))


def hann_window(length: int) -> Float64[np.ndarray, 'samples']:
  """Periodic, as spectral analysis wants it."""
  return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def mel_filters(
  cfg: config.FeaturesConfig,
) -> Float64[np.ndarray, 'bins mels']:
  """Slaney's triangular bands of unit area."""
  return _mel_filters(
    cfg.sample_rate, cfg.fft_size, cfg.num_mels, cfg.low_hz, cfg.high_hz
  )


@functools.lru_cache(maxsize=8)
def _mel_filters(
  sample_rate: int, fft_size: int, num_mels: int, low_hz: float, high_hz: float
) -> Float64[np.ndarray, 'bins mels']:
  edges = _edges(num_mels, low_hz, high_hz)
  bins = np.fft.rfftfreq(fft_size, 1 / sample_rate)
  ramps, widths = np.subtract.outer(edges, bins), np.diff(edges)[:, None]
  rising, falling = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
  bands = np.maximum(0, np.minimum(rising, falling))
  bands *= (2 / (edges[2:] - edges[:-2]))[:, None]
  if ((edges[:-2] > 0) & (bands.max(axis=1) == 0)).any():
    warnings.warn(
      f'Empty filters: of config.features.num_mels={num_mels} bands some lie '
      f'between the bins of config.features.fft_size={fft_size}.',
      stacklevel=3,
    )
  filters = bands.T
  filters.setflags(write=False)  # It is shared by all callers.
  return filters


def mel_edges(
  cfg: config.FeaturesConfig,
) -> Float64[np.ndarray, 'edges']:
  """Hertz at which the bands begin, peak and end; band m has m to m + 2."""
  return _edges(cfg.num_mels, cfg.low_hz, cfg.high_hz)


def _edges(
  num_mels: int, low_hz: float, high_hz: float
) -> Float64[np.ndarray, 'edges']:
  lowest, highest = _mel(np.array([low_hz, high_hz]))
  return _hertz(np.linspace(lowest, highest, num_mels + 2))


def _mel(
  hertz: Float64[np.ndarray, 'frequencies'],
) -> Float64[np.ndarray, 'frequencies']:
  """Slaney's scale: linear up to 1 kHz, then logarithmic."""
  above = np.log(np.maximum(hertz, _KINK_HZ) / _KINK_HZ) / _LOG_STEP
  return np.where(
    hertz < _KINK_HZ, hertz / _HZ_PER_MEL, _KINK_HZ / _HZ_PER_MEL + above
  )


def _hertz(
  mel: Float64[np.ndarray, 'frequencies'],
) -> Float64[np.ndarray, 'frequencies']:
  """Inverts `_mel`."""
  above = np.exp(_LOG_STEP * (mel - _KINK_HZ / _HZ_PER_MEL))
  return np.where(
    mel < _KINK_HZ / _HZ_PER_MEL, _HZ_PER_MEL * mel, _KINK_HZ * above
  )


def dct_basis(size: int) -> Float64[np.ndarray, 'size coefficients']:
  """Orthonormal DCT-II, one coefficient a column."""
  angles = np.pi / size * (np.arange(size)[:, None] + 0.5) * np.arange(size)
  basis = np.sqrt(2 / size) * np.cos(angles)
  basis[:, 0] /= np.sqrt(2)
  return basis


def _frames(
  waveform: Float[np.ndarray, 'samples'], cfg: config.FeaturesConfig
) -> Float64[np.ndarray, 'frames window']:
  window, hop = window_length(cfg), hop_length(cfg)
  covered = (num_frames(len(waveform), cfg) - 1) * hop + window
  padded = np.zeros(covered)
  padded[: len(waveform)] = waveform
  frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
  return frames * hann_window(window)
