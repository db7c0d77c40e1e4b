"""How audio becomes features, said to whoever has not this package."""

from typing import Any

import numpy as np

from fedjax_asr import config
from fedjax_asr.speech import audio, features, running

_MEL_SCALE = (
  "Slaney's: hertz * 3 / 200 below 1000 Hz, and 15 + 27 * ln(hertz / 1000) / "
  'ln(6.4) from there on; edges_hz are num_mels + 2 points evenly spaced on it '
  'from low_hz to high_hz'
)
_BANDS = (
  'band m rises from edges_hz[m] to edges_hz[m + 1] and falls to edges_hz[m + '
  '2], a triangle over hertz, times 2 / (edges_hz[m + 2] - edges_hz[m]); bin k '
  'lies at k * sample_rate / fft_size'
)


def described(cfg: config.FeaturesConfig) -> dict[str, Any]:
  """Every step of `features.extract` and `features.normalize`, as JSON has it.

  Raises:
    ValueError: the features are precomputed.
  """
  features.check_kind(cfg)
  steps: dict[str, Any] = {
    'waveform': f'mono (the mean of all channels), full scale 1, '
    f'{cfg.sample_rate} Hz; neither dither nor pre-emphasis. With every sample '
    'nearer than silence_peak to 0, or to all others, nothing was said',
    'silence_peak': audio.SILENCE,
    'framing': 'frame i covers window_samples from i * hop_samples on, the '
    'first from sample 0 (not centred); zeros behind the end; 1 + '
    'ceil((samples - window_samples) / hop_samples) frames, 1 of fewer samples '
    'than window_samples',
    'window_samples': features.window_length(cfg),
    'hop_samples': features.hop_length(cfg),
    'window': 'periodic Hann, 0.5 - 0.5 * cos(2 * pi * n / window_samples)',
    'power': 'squared magnitude of the Fourier transform over fft_size, the '
    'windowed frame first and then zeros; bins 0 to fft_size / 2',
    'fft_size': cfg.fft_size,
    'log_floor': cfg.log_floor,
    **_by_kind(cfg),
    'normalization': _normalization(cfg.normalization),
  }
  if cfg.normalization is not config.Normalization.NONE:
    steps['min_std'] = features.MIN_STD
  return steps


def _by_kind(cfg: config.FeaturesConfig) -> dict[str, Any]:
  ranged = ''
  if cfg.dynamic_range_db:
    ranged = (
      ', raised to the largest of all frames less '
      f'{features.range_nepers(cfg):.9g}'
    )
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    each = f'ln(max(sqrt(power), log_floor)) of each bin{ranged}'
    return {'features': each}
  edges = features.mel_edges(cfg)
  mel = {'mel_scale': _MEL_SCALE, 'bands': _BANDS, 'edges_hz': edges.tolist()}
  log_mel = 'ln(max(sum over bins of band * power, log_floor)) of each band'
  log_mel += ranged
  if cfg.kind is config.FeatureKind.LOG_MEL:
    return {**mel, 'features': log_mel}
  basis = features.dct_basis(cfg.num_mels)[:, : cfg.num_features]
  return {
    **mel,
    'features': f'{log_mel}, times dct [num_mels, num_features]: the first '
    'coefficients of the orthonormal DCT-II, no liftering',
    'dct': np.round(basis, 12).tolist(),
  }


def _normalization(kind: config.Normalization) -> str:
  scaled = '(feature - mean) / max(std, min_std), of each feature by itself: '
  match kind:
    case config.Normalization.NONE:
      return 'none'
    case config.Normalization.UTTERANCE:
      return (
        f'{scaled}mean and std over the frames of the utterance; the std is '
        'the root of the mean square, not divided by frames - 1'
      )
    case config.Normalization.GLOBAL:
      return f'{scaled}mean and std are those of `statistics`'
    case config.Normalization.RUNNING:
      return (
        f'{scaled}w, mean and variance begin with {running.PRIOR_FRAMES} and '
        'those of `statistics`; at each frame, before it is scaled, w = min(w '
        f'+ 1, {running.MEMORY_FRAMES}), d = feature - mean, mean = mean + d / '
        'w, variance = (1 - 1 / w) * (variance + d * d / w)'
      )
