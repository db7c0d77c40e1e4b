"""What DeepSpeech 1's second layer tells of the windows of an utterance.

Its kernel's gradient is sum_t h_t d_t', with h_t what the first layer makes of
the window of frame t. A window whose h_t lies in the span of the gradient's
columns is one of the utterance's, nearly always: h_t lives on a surface of as
many dimensions as the window has unknowns, and the span leaves many more
equations.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr.attacks import context_windows
from fedjax_asr.models import activation


class HiddenSpan(NamedTuple):
  """The first layer, and what is orthogonal to all that it gave.

  mean, std: what frames are expected to be; only starts depend on them.
  """

  kernel: Float[Array | np.ndarray, 'taps units']
  bias: Float[Array | np.ndarray, ' units']
  complement: Float[Array | np.ndarray, 'units equations']
  mean: Float[Array | np.ndarray, ' features']
  std: Float[Array | np.ndarray, ' features']


def hidden(
  span: HiddenSpan, windows: Float[Array, '*n taps']
) -> Float[Array, '*n units']:
  """What the first layer makes of windows."""
  return activation.clipped_relu(windows @ span.kernel + span.bias)


def outside(
  span: HiddenSpan, windows: Float[Array, '*n taps']
) -> Float[Array, '*n equations']:
  """The part of each window's unit h_t that lies outside the span.

  Its square is the fraction of h_t's energy there; 0 for h_t = 0, so zeros
  are no answer to look for but do no harm.
  """
  return outside_of(span, hidden(span, windows))


def outside_of(
  span: HiddenSpan, values: Float[Array, '*n units']
) -> Float[Array, '*n equations']:
  """The part of each unit h_t that lies outside the span; see `outside`."""
  energy = jnp.sum(values**2, -1, keepdims=True)
  safe = jnp.where(energy > 0, energy, 1.0)
  return (values / jnp.sqrt(safe)) @ span.complement


def windows(
  frames: Float[Array, 'frames features'],
  shape: context_windows.Shape,
  num_windows: int,
) -> Float[Array, 'windows taps']:
  """Windows that start every `stride` frames; no padding is added."""
  starts = jnp.arange(num_windows)[:, None] * shape.stride
  taken = frames[starts + jnp.arange(shape.width)]
  return taken.reshape(num_windows, -1)


def fractions(
  span: HiddenSpan, windows: Float[Array, 'windows taps']
) -> Float[Array, ' windows']:
  """Fraction of each h_t's energy outside the span; 1 where h_t = 0."""
  values = hidden(span, windows)
  energy = jnp.sum(values**2, -1)
  left = jnp.sum((values @ span.complement) ** 2, -1)
  return jnp.where(energy > 0, left / jnp.where(energy > 0, energy, 1.0), 1.0)


def fewer(span: HiddenSpan, num_equations: int) -> HiddenSpan:
  """The span with about so many of its equations, for a cheaper search."""
  every = max(span.complement.shape[1] // num_equations, 1)
  return span._replace(complement=span.complement[:, ::every])


def mirrored(span: HiddenSpan) -> HiddenSpan:
  """The span as windows of an utterance that runs backwards see it."""
  taps, units = span.kernel.shape
  by_frame = span.kernel.reshape(-1, len(span.mean), units)
  return span._replace(kernel=by_frame[::-1].reshape(taps, units))


def to_frames(
  span: HiddenSpan, unknowns: Float[Array, ' unknowns']
) -> Float[Array, 'frames features']:
  """Frames of unknowns that are counted in deviations from the mean."""
  return jnp.asarray(span.mean) + span.std * unknowns.reshape(
    -1, len(span.mean)
  )


def to_unknowns(
  span: HiddenSpan, frames: Float[Array, 'frames features']
) -> Float[Array, ' unknowns']:
  """Undoes `to_frames`."""
  return ((frames - span.mean) / span.std).ravel()


def cast(span: HiddenSpan) -> HiddenSpan:
  """The span as JAX arrays of its default precision."""
  return jax.tree.map(jnp.float32, span)
