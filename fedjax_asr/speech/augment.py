"""What training changes of normalised features, each time anew."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from fedjax_asr import config
from fedjax_asr.speech import perturbation


def augmented(
  features: Float[Array, 'frames features'],
  num_frames: Int[Array, ''],
  key: PRNGKeyArray,
  cfg: config.AugmentConfig,
) -> tuple[Float[Array, 'frames features'], Int[Array, '']]:
  """One utterance, with how many frames it then has."""
  if cfg.max_time_stretch:
    features, num_frames = perturbation.stretched(
      features, num_frames, jax.random.fold_in(key, 0), cfg.max_time_stretch
    )
  if cfg.max_frequency_warp:
    features = perturbation.warped(
      features, jax.random.fold_in(key, 1), cfg.max_frequency_warp
    )
  return spec_augment(features, num_frames, key, cfg), num_frames


def spec_augment(
  features: Float[Array, 'frames features'],
  num_frames: Int[Array, ''] | int,
  key: PRNGKeyArray,
  cfg: config.AugmentConfig,
) -> Float[Array, 'frames features']:
  """Sets random stretches of frames, and bands of features, to 0.

  A mask's width is uniform over 0 to its limit, its start over all places
  where it fits. 0 is the mean of normalised features. Masks lie within the
  first `num_frames` frames; the others, padding, are returned as they are, and
  so is everything when both mask counts are 0.
  """
  length, num_features = features.shape
  time_key, frequency_key = jax.random.split(key)
  limit = jnp.floor(cfg.max_time_mask_fraction * num_frames).astype(jnp.int32)
  frames = _masked(
    time_key,
    cfg.num_time_masks,
    jnp.minimum(limit, cfg.max_time_mask_frames),
    num_frames,
    length,
  )
  bands = _masked(
    frequency_key,
    cfg.num_frequency_masks,
    min(cfg.max_frequency_mask_bins, num_features),
    num_features,
    num_features,
  )
  real = jnp.arange(length) < num_frames
  masked = (frames[:, None] | bands[None, :]) & real[:, None]
  return jnp.where(masked, 0, features)


def _masked(
  key: PRNGKeyArray,
  count: int,
  max_width: Int[Array, ''] | int,
  extent: Int[Array, ''] | int,
  length: int,
) -> Bool[Array, 'length']:
  """Where `count` random masks lie; each of them within `extent`."""
  width_key, start_key = jax.random.split(key)
  widths = jax.random.randint(width_key, (count,), 0, max_width + 1)
  starts = jax.random.randint(start_key, (count,), 0, extent - widths + 1)
  offsets = jnp.arange(length)[:, None] - starts
  return ((offsets >= 0) & (offsets < widths)).any(axis=1)
