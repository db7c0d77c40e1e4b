"""Speech made faster or slower, higher or lower, from its features alone.

What speed perturbation (Ko et al. 2015) and vocal tract length perturbation
(Jaitly and Hinton 2013) do to waveforms, on [frames, features] and inside a
jitted round.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


def stretched(
  features: Float[Array, 'frames features'],
  num_frames: Int[Array, ''] | int,
  key: PRNGKeyArray,
  most: float,
) -> tuple[Float[Array, 'frames features'], Int[Array, '']]:
  """The utterance at another speed, and its number of frames.

  That number is the old one times a factor uniform over 1 - `most` to
  1 + `most`, rounded, as far as the padded length holds it; frames between
  those that there are are interpolated, first and last stay. Padding is 0, and
  never read; no utterance (0 frames) stays none.
  """
  length = len(features)
  factor = jax.random.uniform(key, minval=1.0 - most, maxval=1.0 + most)
  wanted = jnp.round(factor * num_frames).astype(jnp.int32)
  count = jnp.where(num_frames > 0, jnp.clip(wanted, 1, length), 0)
  last = jnp.maximum(num_frames - 1, 0)
  step = last / jnp.maximum(count - 1, 1)
  places = jnp.minimum(jnp.arange(length) * step, last)
  between = _interpolated(features, places, last)
  is_real = jnp.arange(length) < count
  return jnp.where(is_real[:, None], between, 0), count


def warped(
  features: Float[Array, 'frames features'],
  key: PRNGKeyArray,
  most: float,
) -> Float[Array, 'frames features']:
  """As by a vocal tract of another length.

  Bin i becomes what is found at bin i / f, the logarithm of f uniform over
  +-log(1 + `most`), up to a bin from where the rest is squeezed or spread
  evenly so that the highest bin stays (Jaitly and Hinton 2013, equation 1, on
  the axis of the bins: of mel bands the scale below 1 kHz, and a little more
  above, is what a tract's length changes).
  """
  last = features.shape[1] - 1
  bound = jnp.log1p(most)
  factor = jnp.exp(jax.random.uniform(key, minval=-bound, maxval=bound))
  bins = jnp.arange(last + 1)
  # Of 85% of the axis, before or after the warp, whichever is less.
  knee = 0.85 * last * jnp.minimum(1.0, factor)
  slope = (last - knee / factor) / (last - knee)
  places = jnp.where(
    bins <= knee, bins / factor, knee / factor + (bins - knee) * slope
  )
  places = jnp.clip(places, 0, last)
  return _interpolated(features.T, places, last).T


def _interpolated(rows, places, last):
  """Rows at fractional places; none above `last` is read."""
  below = jnp.floor(places).astype(jnp.int32)
  above = jnp.minimum(below + 1, last)
  share = (places - below)[:, None].astype(rows.dtype)
  return rows[below] * (1 - share) + rows[above] * share
