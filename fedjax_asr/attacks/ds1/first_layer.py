"""The first layer of DeepSpeech 1: its update, and what it was before."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation, subspace
from fedjax_asr.attacks.ds1 import span_evidence

KERNEL, BIAS = 'dense_0/kernel', 'dense_0/bias'


class FirstLayer(NamedTuple):
  """Update of the first layer, features brought to one scale.

  kernel: rows of feature f divided by scale[f], as if for inputs x / scale.
  bias: None where its update says nothing.
  """

  kernel: Float64[np.ndarray, 'taps units']
  bias: Float64[np.ndarray, ' units'] | None
  scale: Float64[np.ndarray, ' features']


class Candidate(NamedTuple):
  """A way to look at the layer.

  level: its kernel, each unit divided by its `unit_sizes`.
  space: of the columns of `level`.
  """

  layer: FirstLayer
  level: Float64[np.ndarray, 'taps units']
  unit_sizes: Float64[np.ndarray, ' units']
  space: subspace.Subspace


def window_shape(
  observed: observation.Observation, spanned: str = 'the windows'
) -> context_windows.Shape:
  """Windows of the model.

  Args:
    spanned: by a gradient, as a refusal names it.

  Raises:
    observation.Refused: it has none, or Adam made the delta.
  """
  if observed.model.architecture is not config.Architecture.DS1:
    raise observation.Refused(
      f'architecture {observed.model.architecture.value}: '
      'want ds1, whose first layer sees windows of frames.'
    )
  if not observation.keeps_span(observed):
    raise observation.Refused(
      'client optimizer adam: it scales every weight by itself, so the delta '
      f'leaves the span of {spanned}.'
    )
  ds1 = observed.model.ds1
  taps = len(observed.params['dense_0']['kernel'])
  width = 2 * ds1.context_frames + 1
  return context_windows.Shape(
    ds1.context_frames, ds1.time_stride, taps // width
  )


def candidates(
  observed: observation.Observation, shape: context_windows.Shape
) -> list[Candidate]:
  """The layer's update in the units in which its rank may stand out most.

  Rounding of a gradient goes with each entry: features and units are brought
  to one size. Rounding of a delta, and noise that was added, do not: the
  update is taken as it is.

  Raises:
    observation.Refused: the kernel's update is withheld or zero.
  """
  kernel = observation.needed(observed, KERNEL)
  bias = observation.evidence(observed, BIAS)
  by_tap = kernel.reshape(shape.width, shape.num_features, -1)
  sizes = np.sqrt(np.mean(by_tap**2, axis=(0, 2)))
  # A feature that is zero throughout has rows of zeros; so it stays.
  scale = np.where(sizes > 0, sizes, 1.0)
  relative = (by_tap / scale[:, None]).reshape(kernel.shape)
  return [
    _candidate(FirstLayer(relative, bias, scale), is_level=True),
    _candidate(FirstLayer(kernel, bias, np.ones_like(scale)), is_level=False),
  ]


def _candidate(layer: FirstLayer, *, is_level: bool) -> Candidate:
  """With all units of one size, or as they are."""
  sizes = np.linalg.norm(layer.kernel, axis=0)
  if not is_level:
    sizes = np.where(sizes > 0, 1.0, 0.0)
  level = layer.kernel / np.where(sizes > 0, sizes, 1.0)
  return Candidate(layer, level, sizes, subspace.column_space(level))


def clearest(among: list[Candidate], shape: context_windows.Shape) -> Candidate:
  """The one whose spectrum drops most.

  Raises:
    observation.Refused: none drops, or after too many windows.
  """
  best = max(among, key=lambda candidate: candidate.space.gap)
  units = int(best.layer.kernel.any(axis=0).sum())
  with observation.having_seen(best.space.spectrum(KERNEL)):
    _check(best.space, shape, units)
  return best


def _check(
  space: subspace.Subspace, shape: context_windows.Shape, units: int
) -> None:
  """Refuses where the spectrum tells nothing, or too much."""
  if space.gap <= 1:
    raise observation.Refused(
      f'{KERNEL}: no drop in its {len(space.singular_values)} singular '
      f'values: {min(shape.capacity, units)} windows or more, or an update '
      'that is noisy, quantised or sparsified.'
    )
  if space.rank > shape.capacity:
    raise observation.Refused(
      f'{KERNEL}: {space.rank} windows; want at most {shape.capacity}, as '
      'many as hold more equations than unknowns.'
    )


def parameters(
  observed: observation.Observation,
  scale: Float64[np.ndarray, ' features'],
  shape: context_windows.Shape,
) -> span_evidence.Layer:
  """Of the first layer, for inputs in units of `scale`.

  A bias whose update says nothing is taken to end where it starts.
  """
  kernel, bias = (
    np.asarray(observed.params['dense_0'][name], np.float64)
    for name in ('kernel', 'bias')
  )
  rows = np.tile(scale, shape.width)[:, None]
  end = None
  if observed.observed is config.Observed.DELTA:
    moved = observation.evidence(observed, BIAS)
    end = (
      (kernel - observation.needed(observed, KERNEL)) * rows,
      bias if moved is None else bias - moved,
    )
  return span_evidence.Layer(kernel * rows, bias, end)
