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


class Deeper(NamedTuple):
  """A further layer that sees one window, and what its own outputs span.

  complement: orthogonal to all that the layer gave.
  """

  kernel: Float[Array | np.ndarray, 'units outputs']
  bias: Float[Array | np.ndarray, ' outputs']
  complement: Float[Array | np.ndarray, 'outputs equations']


class OtherRound(NamedTuple):
  """What another update of the same utterances tells; as in `HiddenSpan`."""

  complement: Float[Array | np.ndarray, 'units equations']
  deeper: tuple[Deeper, ...] = ()


class HiddenSpan(NamedTuple):
  """The first layer, and what is orthogonal to all that it gave.

  Of several updates, made with other parameters, the first layers stand side
  by side: a window of all of them has all of their equations.

  mean, std: what frames are expected to be; only starts depend on them.
  deeper: the layers that follow, from the second on, of the first update.
  others: the updates after the first.
  """

  kernel: Float[Array | np.ndarray, 'taps all_units']
  bias: Float[Array | np.ndarray, ' all_units']
  complement: Float[Array | np.ndarray, 'units equations']
  mean: Float[Array | np.ndarray, ' features']
  std: Float[Array | np.ndarray, ' features']
  deeper: tuple[Deeper, ...] = ()
  others: tuple[OtherRound, ...] = ()


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
  span: HiddenSpan, values: Float[Array, '*n all_units']
) -> Float[Array, '*n equations']:
  """The part of each unit h_t that lies outside the span; see `outside`.

  Of several layers or updates, the mean square over them.
  """
  parts = _parts(span, values)
  if len(parts) == 1:
    return parts[0]
  return jnp.concatenate(parts, -1) / jnp.sqrt(len(parts))


def _parts(
  span: HiddenSpan, values: Float[Array, '*n all_units']
) -> list[jax.Array]:
  """What lies outside of each layer's span, round by round."""
  first = OtherRound(span.complement, span.deeper)
  units = len(span.complement)
  parts = []
  for index, each in enumerate((first, *span.others)):
    inputs = values[..., index * units : (index + 1) * units]
    parts.append(_unit(inputs) @ each.complement)
    for layer in each.deeper:
      inputs = activation.clipped_relu(inputs @ layer.kernel + layer.bias)
      parts.append(_unit(inputs) @ layer.complement)
  return parts


def _unit(values: Float[Array, '*n units']) -> Float[Array, '*n units']:
  energy = jnp.sum(values**2, -1, keepdims=True)
  return values / jnp.sqrt(jnp.where(energy > 0, energy, 1.0))


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
  """Fraction of each h_t's energy outside the span; 1 where h_t = 0.

  Of several layers or updates, the largest.
  """
  values = hidden(span, windows)
  left = [jnp.sum(part**2, -1) for part in _parts(span, values)]
  is_nothing = ~jnp.any(values != 0, -1)
  return jnp.where(is_nothing, 1.0, jnp.max(jnp.stack(left), 0))


def fewer(span: HiddenSpan, num_equations: int) -> HiddenSpan:
  """The span with about so many of its equations, for a cheaper search."""
  every = max(num_equations_of(span) // num_equations, 1)

  def thinned(complement: Array | np.ndarray) -> Array | np.ndarray:
    return complement[:, ::every]

  def thinned_layers(layers: tuple[Deeper, ...]) -> tuple[Deeper, ...]:
    return tuple(
      layer._replace(complement=thinned(layer.complement)) for layer in layers
    )

  return span._replace(
    complement=thinned(span.complement),
    deeper=thinned_layers(span.deeper),
    others=tuple(
      OtherRound(thinned(each.complement), thinned_layers(each.deeper))
      for each in span.others
    ),
  )


def num_equations_of(span: HiddenSpan) -> int:
  """That a window has to satisfy, over all layers and updates."""
  rounds = (OtherRound(span.complement, span.deeper), *span.others)
  return sum(
    part.complement.shape[1] for each in rounds for part in (each, *each.deeper)
  )


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
