"""Utterances of one update, told apart and freed of padding."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.ds1 import unmixing, window_system

# A frame counts as padding if the utterance without it fits the span within
# this factor as well.
_PADDING_FACTOR = 10.0


class Group(NamedTuple):
  """Utterances of one length: a basis of all their mixtures.

  gap: by how much the next utterance beyond them fits worse.
  """

  num_windows: int
  basis: Float64[np.ndarray, 'utterances frames features']
  gap: float


class Utterance(NamedTuple):
  """An utterance of the update; frames in units of `FirstLayer.scale`."""

  num_windows: int
  frames: Float64[np.ndarray, 'frames features']


def windows(
  utterances: list[Utterance], shape: context_windows.Shape
) -> Float64[np.ndarray, 'windows taps']:
  """Of all utterances, one after the other."""
  return np.concatenate(
    [
      context_windows.windows(each.frames, shape, each.num_windows)
      for each in utterances
    ]
  )


def split(
  utterances: list[Utterance], by_window: Shaped[np.ndarray, 'windows _']
) -> list[np.ndarray]:
  """[windows, _] of each utterance; undoes `windows`."""
  ends = np.cumsum([utterance.num_windows for utterance in utterances])
  return np.split(by_window, ends[:-1])


def signals(
  utterances: list[Utterance],
  kernel: Float64[np.ndarray, 'taps units'],
  shape: context_windows.Shape,
) -> list[np.ndarray]:
  """[windows, units] of each: what is backpropagated to its windows."""
  stacked = windows(utterances, shape)
  found, *_ = np.linalg.lstsq(stacked.T, kernel, rcond=None)
  return split(utterances, found)


def unmixed(
  groups: list[Group],
  kernel: Float64[np.ndarray, 'taps units'],
  shape: context_windows.Shape,
  rng: np.random.Generator,
) -> list[Utterance]:
  """The utterances of each group, none a mixture of others."""
  mixed = [Utterance(g.num_windows, each) for g in groups for each in g.basis]
  if all(len(group.basis) == 1 for group in groups):
    return mixed
  of_each = iter(signals(mixed, kernel, shape))
  utterances = []
  for group in groups:
    of_group = np.array([next(of_each).ravel() for _ in group.basis])
    coefficients = np.eye(1)
    if len(group.basis) > 1:
      coefficients = unmixing.coefficients(of_group, rng)
    for frames in np.tensordot(coefficients, group.basis, 1):
      utterances.append(Utterance(group.num_windows, frames))
  return utterances


def without_padding(
  utterance: Utterance,
  projector: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
) -> Utterance:
  """The same without frames of zeros that a longer one would also have."""
  frames = utterance.frames
  ones = np.ones(utterance.num_windows)
  whole = window_system.energy(projector, frames, shape, ones)
  for _ in range(shape.stride - 1):
    shorter = window_system.energy(projector, frames[:-1], shape, ones)
    if shorter > _PADDING_FACTOR * whole:
      break
    frames = frames[:-1]
  return utterance._replace(frames=frames)
