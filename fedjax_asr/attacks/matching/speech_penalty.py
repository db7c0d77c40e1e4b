"""What speech is known to be like, as penalties on a reconstruction."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.models import convolution
from fedjax_asr.speech import features as features_lib


def penalty(
  cfg: config.MatchingConfig,
  speech: features_lib.Statistics,
  features: Float[Array, 'utterances frames features'],
  num_frames: Int[Array, ' utterances'],
) -> Float[Array, '']:
  """The weighted sum of those that `cfg` gives a weight.

  Each is a mean over entries inside utterances; 0 where there are none.

    l1, l2                     |x|, x^2
    total_variation_time       |x_t - x_(t-1)|
    total_variation_frequency  |x_f - x_(f-1)|
    first_difference           (x_t - x_(t-1))^2
    speech_prior               ((x - mean) / std)^2 / 2, of public speech
  """
  real = convolution.frame_mask(num_frames, features.shape[1])
  in_time = features[:, 1:] - features[:, :-1]
  in_frequency = features[..., 1:] - features[..., :-1]
  normal = (features - speech.mean) / jnp.maximum(
    speech.std, features_lib.MIN_STD
  )
  terms = (
    (cfg.l1, jnp.abs(features), real),
    (cfg.l2, jnp.square(features), real),
    (cfg.total_variation_time, jnp.abs(in_time), real[:, 1:]),
    (cfg.total_variation_frequency, jnp.abs(in_frequency), real),
    (cfg.first_difference, jnp.square(in_time), real[:, 1:]),
    (cfg.speech_prior, jnp.square(normal) / 2, real),
  )
  total = jnp.zeros((), features.dtype)
  for weight, values, mask in terms:
    if weight:
      total = total + weight * _mean(values, mask)
  return total


def _mean(
  values: Float[Array, 'utterances frames features'],
  mask: Bool[Array, 'utterances frames'],
) -> Float[Array, '']:
  count = jnp.maximum(mask.sum() * values.shape[-1], 1)
  return jnp.where(mask[..., None], values, 0).sum() / count
