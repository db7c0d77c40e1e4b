"""The activation of both DeepSpeech papers."""

import jax
import jax.numpy as jnp

CLIP = 20.0


def clipped_relu(x: jax.Array, smoothing: float = 0.0) -> jax.Array:
  """min(max(x, 0), 20), the activation of both DeepSpeech papers.

  With `smoothing`, its kinks are rounded off over about that width on each
  side, by at most log(2) times it; 0 is exact.
  """
  if not smoothing:
    return jnp.clip(x, 0.0, CLIP)
  rising = jax.nn.softplus(x / smoothing)
  return smoothing * (rising - jax.nn.softplus((x - CLIP) / smoothing))
