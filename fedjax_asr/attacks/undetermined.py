"""Stretches of an utterance whose length no span of windows can tell.

Windows that are equal count once in sum_t c_t d_t'. Where 2C + 1 frames are
equal, as in digital silence, there is a window F of nothing else; another such
frame adds F again, and one fewer gives E + L - F, with E the window that enters
the run and L the one that leaves it: all lengths lie in the same space. So it
is with any stretch that repeats: a window that may follow itself, a few
windows later, is the loop of a path that may be walked any number of times.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from fedjax_asr.attacks import context_windows, observation

# Longest period that is looked for, in windows.
_MAX_PERIOD = 8
# Part of the features' variance under which two frames are equal; neighbours
# in speech differ by a tenth or more.
_EQUAL = 1e-4


def stretches(
  frames: Float[np.ndarray, 'frames features'],
  shape: context_windows.Shape,
) -> tuple[observation.Stretch, ...]:
  """Where frames could be put in, or taken out, and no window be new.

  In order and apart from each other; among them the zeros with which an
  utterance begins or ends, that nothing tells from those beyond its ends.
  """
  if not len(frames):
    return ()
  inside = np.zeros(len(frames), bool)
  for period in range(1, _MAX_PERIOD + 1):
    for start, stop in _repeating(frames, shape, period * shape.stride):
      inside[start:stop] = True
  silent = _silent(frames)
  for ends, mark in ((silent, inside), (silent[::-1], inside[::-1])):
    mark[: len(ends) if ends.all() else int(np.argmin(ends))] = True
  edges = np.flatnonzero(np.diff(np.pad(inside, 1).astype(int)))
  return tuple(
    observation.Stretch(int(start), int(stop))
    for start, stop in edges.reshape(-1, 2)
  )


def _repeating(
  frames: Float[np.ndarray, 'frames features'],
  shape: context_windows.Shape,
  lag: int,
) -> Iterator[tuple[int, int]]:
  """(start, stop) of frames that a window and its copy `lag` later cover."""
  needed = shape.width - shape.stride
  if len(frames) < needed + lag:
    return
  scale = frames.std(axis=0)
  scale = np.where(scale > 0, scale, 1.0)
  moved = np.mean(((frames[lag:] - frames[:-lag]) / scale) ** 2, axis=1)
  equal = moved < _EQUAL
  edges = np.flatnonzero(np.diff(np.pad(equal, 1).astype(int))).reshape(-1, 2)
  for start, stop in edges:
    if stop - start >= needed:
      yield int(start), int(stop) + lag


def _silent(
  frames: Float[np.ndarray, 'frames features'],
) -> Bool[np.ndarray, ' frames']:
  sizes = np.where(frames.any(axis=0), np.abs(frames).max(axis=0), 1.0)
  return np.mean((frames / sizes) ** 2, axis=1) < _EQUAL * np.mean(
    (frames / sizes) ** 2
  )
