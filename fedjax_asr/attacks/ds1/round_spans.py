"""What the updates of one client's rounds tell of the windows in all of them.

Of each round every layer that sees one window at a time has its own: the
inputs of dense_1, dense_2 .. and of the recurrence. With H units and T windows
each gives H - T equations for a window, and so does each further round, whose
parameters are others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Float64

from fedjax_asr.attacks import context_windows, observation, subspace
from fedjax_asr.attacks.ds1 import hidden_span
from fedjax_asr.models import activation, model

FIRST = 'dense_1/kernel'
# A drop of singular values to float32 rounding that cannot be chance.
_CLEAR_DROP = 30.0
# Of float32's: rounding of a sum of products is seldom level below this.
_LEAST_ROUNDING = 1 / 16


class LayerSpan(NamedTuple):
  """A layer's inputs: `name` of its kernel, and where they lie."""

  name: str
  space: subspace.Subspace


def layer_names(params: model.Params, num_layers: int) -> list[str]:
  """Kernels whose inputs are functions of one window, from the second on."""
  dense = sorted(name for name in params if name.startswith('dense_'))
  names = [f'{name}/kernel' for name in dense[1:]]
  return [*names, 'recurrent/input/kernel'][:num_layers]


def of_update(
  observed: observation.Observation, num_layers: int
) -> list[LayerSpan]:
  """Of each of the layers that tell something; the first one has to.

  Raises:
    observation.Refused: the second layer's update was withheld, or it has as
      many windows as dimensions.
  """
  found = []
  for name in layer_names(observed.params, num_layers):
    kernel = observation.evidence(observed, name)
    if name == FIRST:
      kernel = observation.needed(observed, name)
    if kernel is None:
      break  # What is behind it would want its outputs' span, and has it not.
    space = column_space(kernel)
    if space.gap <= 1 and name == FIRST:
      with observation.having_seen(space.spectrum(name)):
        raise observation.Refused(
          f'{name}: no drop in its {len(space.singular_values)} singular '
          f'values: {int(kernel.any(axis=1).sum())} windows or more, or an '
          'update that is noisy, quantised or sparsified.'
        )
    if space.gap <= 1:
      break
    found.append(LayerSpan(name, space))
  return found


def column_space(
  kernel: Float64[np.ndarray, 'units outputs'],
) -> subspace.Subspace:
  """Of a kernel's update: up to the largest drop above float32 rounding.

  Inputs that no window has are orthogonal to all of them, exactly. What they
  leave of the spectrum is no measure of noise, and neither is what rounding
  leaves of inputs that few windows have, which `subspace.column_space` takes
  for a drop. That rule is for updates without a clear one: of noise.
  """
  live = np.asarray(kernel.any(axis=1))
  sizes = np.linalg.norm(kernel, axis=0)
  raw = kernel[np.ix_(live, sizes > 0)]
  # Rounding of a gradient goes with its unit, that of a delta does not.
  found = [_above_rounding(each) for each in (raw / sizes[sizes > 0], raw)]
  return _with_dead(max(found, key=lambda space: space.gap), live)


def _above_rounding(
  matrix: Float64[np.ndarray, 'units outputs'],
) -> subspace.Subspace:
  space = subspace.column_space(matrix)
  values = space.singular_values
  floor = _LEAST_ROUNDING * np.finfo(np.float32).eps * values[0]
  counted = max(int((values > floor).sum()), 1)
  following = np.append(values[1:], 0.0)[:counted]
  drops = values[:counted] / np.maximum(following, floor)
  # All that there are is no rank.
  drops = drops[: len(matrix) - 1]
  if not drops.size or drops.max() < _CLEAR_DROP:
    return space
  vectors = np.concatenate([space.basis, space.complement], axis=1)
  rank = int(np.argmax(drops)) + 1
  space = subspace.split(vectors, values, rank, float(drops[rank - 1]))
  return space._replace(min_drop=_CLEAR_DROP)


def _with_dead(
  space: subspace.Subspace, live: Bool[np.ndarray, ' units']
) -> subspace.Subspace:
  """The space with the inputs that are always zero, in the complement."""
  dead = np.flatnonzero(~live)
  basis = np.zeros((len(live), space.rank))
  basis[live] = space.basis
  left = space.complement.shape[1]
  complement = np.zeros((len(live), left + len(dead)))
  complement[live, :left] = space.complement
  complement[dead, left + np.arange(len(dead))] = 1.0
  return space._replace(basis=basis, complement=complement)


def joint(
  rounds: Sequence[tuple[observation.Observation, list[LayerSpan]]],
  shape: context_windows.Shape,
  share: float = 0.0,
) -> hidden_span.HiddenSpan:
  """The equations of windows that are in all of the rounds.

  Args:
    share: of each delta that is taken to have been done when the windows were
      seen: 0 for those of a first local step, of which it is exact.
  """
  observed = rounds[0][0]
  speech = observed.declared.speech
  plain = np.zeros(shape.num_features)
  firsts = [_layer(each, 'dense_0', share) for each, _ in rounds]
  complements = [layers[0].space.complement for _, layers in rounds]
  deeper = [_deeper(each, layers, share) for each, layers in rounds]
  return hidden_span.HiddenSpan(
    kernel=np.concatenate([kernel for kernel, _ in firsts], axis=1),
    bias=np.concatenate([bias for _, bias in firsts]),
    complement=complements[0],
    mean=np.asarray(speech.mean, np.float64) if speech else plain,
    std=np.asarray(speech.std, np.float64) if speech else plain + 1,
    deeper=deeper[0],
    others=tuple(
      hidden_span.OtherRound(*each)
      for each in zip(complements[1:], deeper[1:], strict=True)
    ),
  )


def _layer(
  observed: observation.Observation, name: str, share: float
) -> tuple[Float64[np.ndarray, 'inputs units'], Float64[np.ndarray, ' units']]:
  """(kernel, bias) when that share of the delta was done."""

  def then(part: str) -> Float64[np.ndarray, '...']:
    value = np.asarray(observed.params[name][part], np.float64)
    moved = observation.evidence(observed, f'{name}/{part}') if share else None
    return value if moved is None else value - share * moved

  return then('kernel'), then('bias')


def _deeper(
  observed: observation.Observation, layers: list[LayerSpan], share: float
) -> tuple[hidden_span.Deeper, ...]:
  before = layer_names(observed.params, len(layers))
  return tuple(
    hidden_span.Deeper(
      *_layer(observed, name.split('/')[0], share), layer.space.complement
    )
    for name, layer in zip(before, layers[1:], strict=False)
  )


def residuals(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  frames: Float64[np.ndarray, 'frames features'],
  num_windows: int,
) -> Float64[np.ndarray, ' windows']:
  """Of each window the largest over layers and rounds, in float64."""
  windows = context_windows.windows(frames, shape, num_windows)
  values = np.clip(windows @ span.kernel + span.bias, 0, activation.CLIP)
  units = len(span.complement)
  first = hidden_span.OtherRound(span.complement, span.deeper)
  worst = np.zeros(num_windows)
  for index, each in enumerate((first, *span.others)):
    inputs = values[:, index * units : (index + 1) * units]
    worst = np.maximum(worst, _outside(inputs, each.complement))
    for layer in each.deeper:
      inputs = np.clip(inputs @ layer.kernel + layer.bias, 0, activation.CLIP)
      worst = np.maximum(worst, _outside(inputs, layer.complement))
  return worst


def _outside(
  values: Float64[np.ndarray, 'windows units'],
  complement: Float[Array | np.ndarray, 'units equations'],
) -> Float64[np.ndarray, ' windows']:
  """Share of energy; 1 of nothing."""
  energy = np.sum(values**2, axis=1)
  left = np.sum((values @ complement) ** 2, axis=1)
  return np.where(energy > 0, left / np.where(energy > 0, energy, 1.0), 1.0)
