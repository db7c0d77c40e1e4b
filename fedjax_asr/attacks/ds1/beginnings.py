"""The beginnings of all utterances of an update, each once.

Random starts fall into the beginnings with very different frequencies, and one
that was found would be found again and again: its residual is therefore divided
by the distance to those that are known (deflation: Farrell, Birkisson and
Funke 2015).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.ds1 import (
  hidden_span,
  levenberg_marquardt,
  window_chain,
)

# A fit goes on until its residual is this small.
_EXACT = 1e-13
# Correlation of neighbouring frames of starts, about that of speech.
_CORRELATION = 0.9
# Squared sine of the angle under which two beginnings are one: of speech they
# may be alike, and fits of one agree to a thousandth of this.
SAME = 1e-4


def starts(
  keys: jax.Array, num_frames: int, num_features: int
) -> Float[Array, 'starts unknowns']:
  """Random frames in deviations from the mean, alike to their neighbours."""
  drawn = jax.vmap(
    lambda key: jax.random.normal(key, (num_frames, num_features))
  )(keys)

  def onwards(
    last: Float[Array, 'starts features'], new: Float[Array, 'starts features']
  ) -> tuple[jax.Array, jax.Array]:
    now = _CORRELATION * last + np.sqrt(1 - _CORRELATION**2) * new
    return now, now

  by_frame = jnp.moveaxis(drawn, 1, 0)
  _, rest = jax.lax.scan(onwards, by_frame[0], by_frame[1:])
  frames = jnp.concatenate([by_frame[:1], rest])
  return jnp.moveaxis(frames, 0, 1).reshape(len(keys), -1)


def direction(
  span: hidden_span.HiddenSpan, frames: Float[np.ndarray, 'frames features']
) -> Float[np.ndarray, ' unknowns']:
  """Of a beginning, whatever its size; all zeros of nothing."""
  values = np.asarray(frames / np.asarray(span.std)).ravel()
  norm = np.linalg.norm(values)
  return values / norm if norm else values


@functools.partial(jax.jit, static_argnums=(1, 2, 5))
def fitted(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  num_windows: int,
  points: Float[Array, 'starts unknowns'],
  known: Float[Array, 'known unknowns'],
  num_iterations: int,
) -> tuple[Float[Array, 'starts unknowns'], Float[Array, ' starts']]:
  """(points, costs) of first windows, mean over them, after descent.

  Args:
    known: directions that no fit is to end in; rows of zeros change nothing.
  """

  def apart(point: Float[Array, ' unknowns']) -> Float[Array, ' known']:
    """Of every known one the squared sine of the angle to it."""
    frames = hidden_span.to_frames(span, point) / span.std
    unit = frames.ravel() / jnp.maximum(jnp.linalg.norm(frames), 1e-30)
    return 1 - (known @ unit) ** 2

  def residual(point: Float[Array, ' unknowns']) -> jax.Array:
    return window_chain.seed_residual(span, shape, num_windows, point)

  def deflated(point: Float[Array, ' unknowns']) -> jax.Array:
    factors = 1 / jnp.sqrt(jnp.maximum(apart(point), SAME * SAME))
    return residual(point) * jnp.prod(factors)

  def fit(
    point: Float[Array, ' unknowns'],
  ) -> tuple[Float[Array, ' unknowns'], Float[Array, '']]:
    begin = levenberg_marquardt.start(deflated, point)
    found = levenberg_marquardt.fit(deflated, begin, num_iterations, _EXACT)
    return found.point, jnp.sum(residual(found.point) ** 2)

  return jax.vmap(fit)(points)
