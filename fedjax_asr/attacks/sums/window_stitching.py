"""Utterances out of single windows that overlap.

A window of an utterance shares all but a few frames with its neighbours. Two
that agree on what they would share, number by number, were said in a row; a
mixture of windows agrees with nothing. So the overlap is what joins windows,
and what certifies them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from fedjax_asr.attacks import context_windows

# Part of a window that two must share for chance not to make them agree.
_LEAST_SHARED = 0.25
# Root of the mean square of what differs, in deviations of the features, up to
# which they agree. Neighbouring windows of speech differ by a tenth and more.
_AGREE = 0.01
# Overlaps that change less in time, in the mean over features, are silence,
# whose place nothing tells.
_FLAT = 0.1
_BLOCK = 512


class Stretch(NamedTuple):
  """Frames in a row of one utterance.

  frames: [frames, features], each as two windows or more have it.
  num_windows: that agree on them.
  has_start, has_end: whether zeros beyond it were seen.
  disagreement: root of the mean square of what windows differ by, in
    deviations of the features.
  """

  frames: Float64[np.ndarray, 'frames features']
  num_windows: int
  has_start: bool
  has_end: bool
  disagreement: float


def stretches(
  windows: Float64[np.ndarray, 'windows taps'],
  shape: context_windows.Shape,
  scale: Float64[np.ndarray, ' features'],
) -> list[Stretch]:
  """The longest first; of two windows that agree or more each.

  `scale`: deviation of each feature over speech.
  """
  framed = windows.reshape(len(windows), shape.width, shape.num_features)
  framed = framed / scale
  joined = _Offsets(len(windows))
  longest = shape.width - max(round(_LEAST_SHARED * shape.width), 1)
  for lag in range(shape.stride, longest + 1, shape.stride):
    for first, second in _agreeing(framed, lag):
      joined.join(first, second, lag)
  found = [
    _merged(framed[members], offsets, shape, scale)
    for members, offsets in joined.groups()
    if len(members) > 1
  ]
  found = [each for each in found if len(each.frames)]
  return sorted(found, key=lambda each: -len(each.frames))


def _agreeing(
  framed: Float64[np.ndarray, 'windows width features'], lag: int
) -> Iterator[tuple[int, int]]:
  """(first, second): windows that are `lag` frames apart.

  Each with the one that agrees best, if both say so.
  """
  count = len(framed)
  heads = framed[:, lag:].reshape(count, -1)
  tails = framed[:, :-lag].reshape(count, -1)
  flat = framed[:, lag:].std(axis=1).mean(axis=1) < _FLAT
  nearest, distances = _nearest(heads, tails)
  back, _ = _nearest(tails, heads)
  for first in np.flatnonzero(distances < _AGREE):
    second = int(nearest[first])
    if not flat[first] and back[second] == first and second != first:
      yield int(first), second


def _nearest(
  rows: Float64[np.ndarray, 'windows shared'],
  others: Float64[np.ndarray, 'windows shared'],
) -> tuple[Int[np.ndarray, ' windows'], Float64[np.ndarray, ' windows']]:
  """Which of the others is nearest to each, and the root mean square apart."""
  nearest = np.zeros(len(rows), int)
  distances = np.full(len(rows), np.inf)
  squares = np.sum(others**2, axis=1)
  for start in range(0, len(rows), _BLOCK):
    part = rows[start : start + _BLOCK]
    apart = np.sum(part**2, axis=1)[:, None] + squares - 2 * part @ others.T
    best = np.argmin(apart, axis=1)
    nearest[start : start + _BLOCK] = best
    # Not by the difference of large squares.
    exact = np.mean((part - others[best]) ** 2, axis=1)
    distances[start : start + _BLOCK] = np.sqrt(exact)
  return nearest, distances


class _Offsets:
  """Windows joined into groups, each with its place in the group."""

  def __init__(self, count: int) -> None:
    self._group = np.arange(count)
    self._offset = np.zeros(count, int)

  def join(self, first: int, second: int, lag: int) -> None:
    """`second` begins `lag` frames after `first`; what contradicts is left."""
    one, other = self._group[first], self._group[second]
    if one == other:
      return
    moved = self._group == other
    self._offset[moved] += self._offset[first] + lag - self._offset[second]
    self._group[moved] = one

  def groups(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(members, offsets from the first) of each group."""
    for group in np.unique(self._group):
      members = np.flatnonzero(self._group == group)
      offsets = self._offset[members]
      yield members, offsets - offsets.min()


def _merged(
  framed: Float64[np.ndarray, 'windows width features'],
  offsets: Int[np.ndarray, ' windows'],
  shape: context_windows.Shape,
  scale: Float64[np.ndarray, ' features'],
) -> Stretch:
  """The median of what windows say of each frame, without zeros beyond.

  A mixture may agree where it is mostly one window, and be wrong elsewhere:
  what only one says is not taken, but for zeros, which speech is not.
  """
  length = int(offsets.max()) + shape.width
  values = np.full((len(framed), length, shape.num_features), np.nan)
  for row, window, offset in zip(values, framed, offsets, strict=True):
    row[offset : offset + shape.width] = window
  values[:, np.isnan(values).all(axis=(0, 2))] = np.inf
  merged = np.nanmedian(values, axis=0)
  with np.errstate(invalid='ignore'):
    apart = np.sqrt(np.mean((values - merged) ** 2, axis=2))
  agree = apart <= _AGREE
  counts = agree.sum(axis=0)
  is_beyond = np.sqrt(np.mean(merged**2, axis=1)) <= _AGREE
  start, stop = _longest_run((counts >= 2) | ((counts >= 1) & is_beyond))
  error = np.sqrt(np.mean(apart[agree] ** 2)) if agree.any() else np.inf
  heard = ~is_beyond[start:stop]
  if not heard.any():
    return Stretch(np.zeros((0, len(scale))), 0, False, False, float(error))
  places = start + np.flatnonzero(heard)
  first, last = int(places[0]), int(places[-1]) + 1
  return Stretch(
    frames=merged[first:last] * scale,
    num_windows=int(agree[:, first:last].any(axis=1).sum()),
    has_start=first > start,
    has_end=last < stop,
    disagreement=float(error),
  )


def _longest_run(marks: Bool[np.ndarray, ' frames']) -> tuple[int, int]:
  edges = np.flatnonzero(np.diff(np.pad(marks, 1).astype(int))).reshape(-1, 2)
  if not len(edges):
    return 0, 0
  start, stop = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist()
  return start, stop
