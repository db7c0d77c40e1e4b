"""Waveform to features in JAX: `features` again, jit-able and differentiable.

Gradients with respect to the waveform are finite everywhere, and zero at
digital silence: the logarithm is floored before it is taken, and no square
root or complex modulus is differentiated.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.speech import features as reference
from fedjax_asr.speech import running


def extract(
  waveform: Float[Array, 'samples'], cfg: config.FeaturesConfig
) -> Float[Array, 'frames features']:
  """`features.extract`, in the waveform's precision.

  `cfg` is static: close over it, `jax.jit(lambda w: extract(w, cfg))`. In
  float64 it is the reference; in float32 it differs by at most 1e-3 (in units
  of the logarithm), and by 2e-2 in bins of a spectrogram that lie 80 dB under
  the strongest of their frame, where the transform rounds.

  Raises:
    ValueError: the waveform is empty, or the features are precomputed.
  """
  reference.check_kind(cfg)
  return _of_frames(_frames(waveform, cfg), cfg)


def extract_padded(
  waveform: Float[Array, 'samples'],
  num_samples: Int[Array, ''] | int,
  num_frames: int,
  cfg: config.FeaturesConfig,
) -> tuple[Float[Array, 'frames features'], Int[Array, '']]:
  """`extract` of the first `num_samples` samples, and how many frames it has.

  What stands behind them changes nothing. `num_frames` frames are given, want
  as many as the waveform has or more, those behind the last of silence. Sizes
  may be symbols of `jax.export`.

  Raises:
    ValueError: the features are precomputed.
  """
  reference.check_kind(cfg)
  window, hop = reference.window_length(cfg), reference.hop_length(cfg)
  places = jnp.arange(num_frames)[:, None] * hop + np.arange(window)
  inside = jnp.minimum(places, waveform.shape[0] - 1)
  frames = jnp.where(places < num_samples, waveform[inside], 0)
  beyond = jnp.maximum(num_samples - window, 0)
  return _of_frames(frames, cfg), 1 + (beyond + hop - 1) // hop


def _of_frames(
  frames: Float[Array, 'frames window'], cfg: config.FeaturesConfig
) -> Float[Array, 'frames features']:
  power = _power(frames, cfg)
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    log_magnitude = 0.5 * jnp.log(jnp.maximum(power, cfg.log_floor**2))
    return _within_range(log_magnitude, cfg)
  mel = _product(power, reference.mel_filters(cfg))
  log_mel = _within_range(jnp.log(jnp.maximum(mel, cfg.log_floor)), cfg)
  if cfg.kind is config.FeatureKind.MFCC:
    basis = reference.dct_basis(cfg.num_mels)[:, : cfg.num_features]
    return _product(log_mel, basis)
  return log_mel


def _within_range(
  logarithms: Float[Array, 'frames bins'], cfg: config.FeaturesConfig
) -> Float[Array, 'frames bins']:
  if not cfg.dynamic_range_db:
    return logarithms
  least = logarithms.max() - reference.range_nepers(cfg)
  return jnp.maximum(logarithms, least)


def normalize(
  features: Float[Array, 'frames features'],
  num_frames: Int[Array, ''] | int,
  normalization: config.Normalization = config.Normalization.UTTERANCE,
  statistics: reference.Statistics | None = None,
) -> Float[Array, 'frames features']:
  """`features.normalize` of the first `num_frames` frames; the others are 0.

  What stands in the other frames, NaN included, changes nothing.

  Raises:
    ValueError: global or running normalisation without `statistics`.
  """
  if statistics is None and normalization.has_statistics:
    raise ValueError('statistics=None; want those of the corpus.')
  real = (jnp.arange(features.shape[0]) < num_frames)[:, None]
  features = jnp.where(real, features, 0)
  match normalization:
    case config.Normalization.NONE:
      return features
    case config.Normalization.UTTERANCE:
      count = jnp.maximum(num_frames, 1)
      mean = features.sum(axis=0) / count
      centred = jnp.where(real, features - mean, 0)
      variance = (centred**2).sum(axis=0) / count
    case config.Normalization.GLOBAL:
      assert statistics is not None
      centred = jnp.where(real, features - statistics.mean, 0)
      variance = jnp.square(statistics.std)
    case config.Normalization.RUNNING:
      assert statistics is not None
      means, variance = _tracked(features, statistics)
      centred = jnp.where(real, features - means, 0)
  return centred * jax.lax.rsqrt(jnp.maximum(variance, reference.MIN_STD**2))


def _tracked(
  features: Float[Array, 'frames features'], statistics: reference.Statistics
) -> tuple[Float[Array, 'frames features'], Float[Array, 'frames features']]:
  """Means and variances of `running`, frame by frame: sums of squares would
  cancel in float32."""

  def step(moments, frame):
    weight, mean, variance = moments
    weight = jnp.minimum(weight + 1, running.MEMORY_FRAMES)
    shift = frame - mean
    mean = mean + shift / weight
    variance = (1 - 1 / weight) * (variance + shift**2 / weight)
    return (weight, mean, variance), (mean, variance)

  mean, std = (jnp.asarray(each, features.dtype) for each in statistics)
  weight = jnp.asarray(running.PRIOR_FRAMES, features.dtype)
  _, moments = jax.lax.scan(step, (weight, mean, std**2), features)
  return moments


def _frames(
  waveform: Float[Array, 'samples'], cfg: config.FeaturesConfig
) -> Float[Array, 'frames window']:
  window, hop = reference.window_length(cfg), reference.hop_length(cfg)
  num_frames = reference.num_frames(len(waveform), cfg)
  covered = (num_frames - 1) * hop + window
  padded = jnp.pad(waveform, (0, covered - len(waveform)))
  return padded[np.arange(num_frames)[:, None] * hop + np.arange(window)]


def _power(
  frames: Float[Array, 'frames window'], cfg: config.FeaturesConfig
) -> Float[Array, 'frames bins']:
  weights = reference.hann_window(reference.window_length(cfg))
  weights = jnp.asarray(weights, frames.dtype)
  spectrum = jnp.fft.rfft(frames * weights, cfg.fft_size)
  return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def _product(
  values: Float[Array, 'frames inner'], matrix: Float[np.ndarray, 'inner outer']
) -> Float[Array, 'frames outer']:
  """In full precision: TF32, a GPU's default, moves a logarithm by 1e-3."""
  return jnp.matmul(
    values,
    jnp.asarray(matrix, values.dtype),
    precision=jax.lax.Precision.HIGHEST,
  )
