"""Utterances of which every context window lies in a known space.

With Q the projector onto the complement of that space, and S_t the selection
of window t out of an utterance x with zeros beyond its ends, all windows lie
in the space where x' A x = 0, A = sum_t S_t' Q S_t. A is banded: frames that
share no window do not meet. It depends on the number of windows only through
its last frames, so that all lengths together cost little more than one.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows

# Of the largest diagonal entry: keeps a singular system factorisable.
_JITTER = 1e-14
_NUM_ITERATIONS = 8


class Solution(NamedTuple):
  """Smallest eigenvalues of A, ascending, and their utterances of norm 1."""

  values: Float64[np.ndarray, ' count']
  utterances: Float64[np.ndarray, 'count frames features']


def smallest(
  root: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
  num_windows: int,
  count: int,
  rng: np.random.Generator,
  *,
  num_frames: int | None = None,
  weights: Float64[np.ndarray, ' windows'] | None = None,
) -> Solution:
  """Utterances of `num_windows` windows that come nearest to the space.

  Of stride * num_windows frames, more than which no window centres on, but
  where told. By banded Cholesky and block inverse iteration.

  Args:
    root: Q, or another symmetric matrix whose square takes its place.
    weights: of the windows, in place of ones.
  """
  import scipy.linalg  # Here, because it takes long to import.

  if num_frames is None:
    num_frames = shape.stride * num_windows
  if weights is None:
    weights = np.ones(num_windows)
  matrix = banded(root @ root, shape, num_frames, weights)
  matrix[0] += _JITTER * matrix[0].max()
  factor = scipy.linalg.cholesky_banded(matrix, overwrite_ab=True, lower=True)
  count = min(count, matrix.shape[1])
  guarded = min(count + 2, matrix.shape[1])
  block = rng.standard_normal((matrix.shape[1], guarded))
  for _ in range(_NUM_ITERATIONS):
    block, _ = np.linalg.qr(block)
    block = scipy.linalg.cho_solve_banded((factor, True), block)
  vectors, _, _ = np.linalg.svd(block, full_matrices=False)
  utterances = vectors.T[:count].reshape(count, num_frames, -1)
  values = [energy(root, each, shape, weights) for each in utterances]
  order = np.argsort(values)
  return Solution(np.array(values)[order], utterances[order])


def energy(
  root: Float64[np.ndarray, 'taps taps'],
  utterance: Float64[np.ndarray, 'frames features'],
  shape: context_windows.Shape,
  weights: Float64[np.ndarray, ' windows'],
) -> float:
  """x' A x / x' x: what of the windows lies outside the space."""
  outside = context_windows.windows(utterance, shape, len(weights)) @ root
  return float(weights @ np.sum(outside**2, axis=1) / np.sum(utterance**2))


def banded(
  square: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
  num_frames: int,
  weights: Float64[np.ndarray, ' windows'],
) -> Float64[np.ndarray, 'taps unknowns']:
  """Lower band of A, as LAPACK stores it; `square` is Q."""
  frames, features = num_frames, shape.num_features
  taps = shape.width * features
  panels = np.zeros((frames, taps, features))
  for tap in range(shape.width):
    first = tap - shape.context
    skipped = max(0, -(first // shape.stride))
    window = np.arange(skipped, len(weights))
    window = window[window * shape.stride + first < frames]
    frame = window * shape.stride + first
    column = slice(tap * features, (tap + 1) * features)
    below = square[tap * features :, column]
    panels[frame, : len(below)] += weights[window, None, None] * below
  band = np.zeros((taps, frames * features))
  for feature in range(features):
    # Row 0 of the band is the diagonal, so each column starts there.
    band[: taps - feature, feature::features] = panels[:, feature:, feature].T
  return _within(band)


def _within(
  band: Float64[np.ndarray, 'taps unknowns'],
) -> Float64[np.ndarray, 'taps unknowns']:
  """Zeros where a column of the band reaches beyond the last row."""
  size = band.shape[1]
  for offset in range(1, len(band)):
    band[offset, max(size - offset, 0) :] = 0
  return band


def eigenvalues_by_length(
  projector: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
  max_windows: int,
  count: int,
) -> Float64[np.ndarray, 'lengths count']:
  """How near to singular A is, for 1, 2 .. `max_windows` windows.

  Smallest eigenvalues of the Schur complement of A onto the last `context`
  frames: zero where A has an eigenvalue of zero, and otherwise no smaller than
  A's. One elimination from the left serves all lengths.
  """
  # Here, because they take long to import.
  import scipy.linalg
  import threadpoolctl

  features, context = shape.num_features, shape.context
  # Frames wait to be eliminated until no later window can reach them.
  taps = shape.width * features
  blocks = _Blocks(projector, shape)
  front = np.zeros((taps, taps))
  eliminated = 0
  lowest = np.full((max_windows, count), np.inf)
  # Matrices this small are slower, and on a busy machine much slower, on many
  # threads.
  with threadpoolctl.threadpool_limits(1, user_api='blas'):
    for num_windows in range(1, max_windows + 1):
      frames = shape.stride * num_windows
      while eliminated < frames - context:
        front = _eliminated(front, blocks.column(eliminated), features)
        eliminated += 1
      size = (frames - eliminated) * features
      tail = blocks.tail(eliminated, num_windows) + front[:size, :size]
      values = scipy.linalg.eigvalsh(tail)[:count]
      lowest[num_windows - 1, : len(values)] = values
  return lowest


def _eliminated(
  front: Float64[np.ndarray, 'taps taps'],
  column: Float64[np.ndarray, 'taps features'],
  features: int,
) -> Float64[np.ndarray, 'taps taps']:
  """The front without its first frame, moved on by it."""
  import scipy.linalg  # Here, because it takes long to import.

  column = column + front[:, :features]
  pivot = column[:features]
  jitter = _JITTER * np.trace(pivot) * np.eye(features)
  factor = scipy.linalg.cholesky(pivot + jitter, lower=True)
  below = scipy.linalg.solve_triangular(
    factor, column[features:].T, lower=True
  ).T
  moved = np.zeros_like(front)
  moved[:-features, :-features] = front[features:, features:]
  moved[:-features, :-features] -= below @ below.T
  return moved


class _Blocks:
  """Blocks of A for ever longer utterances; all but the first ones recur."""

  def __init__(
    self,
    projector: Float64[np.ndarray, 'taps taps'],
    shape: context_windows.Shape,
  ) -> None:
    self._projector = projector
    self._shape = shape
    self._columns: dict[int, np.ndarray] = {}
    self._tails: dict[tuple[int, int], np.ndarray] = {}

  def column(self, frame: int) -> Float64[np.ndarray, 'taps features']:
    """Blocks of the rows from `frame` on, in its column; without an end."""
    frame -= self._shape.stride * self._first_window(frame)
    if frame not in self._columns:
      self._columns[frame] = self._sum_over_windows(frame)
    return self._columns[frame]

  def tail(
    self, frame: int, num_windows: int
  ) -> Float64[np.ndarray, 'unknowns unknowns']:
    """A of `num_windows` windows, from `frame` on."""
    first = self._first_window(frame)
    at = frame - self._shape.stride * first, num_windows - first
    if at not in self._tails:
      self._tails[at] = self._from_frame_on(*at)
    return self._tails[at]

  def _first_window(self, frame: int) -> int:
    """The first window that reaches a frame."""
    return max(0, -(-(frame - self._shape.context) // self._shape.stride))

  def _sum_over_windows(
    self, frame: int
  ) -> Float64[np.ndarray, 'taps features']:
    context, stride, features = self._shape
    column = np.zeros((len(self._projector), features))
    for window in range((frame + context) // stride + 1):
      start = (frame - window * stride + context) * features
      block = self._projector[start:, start : start + features]
      column[: len(block)] += block
    return column

  def _from_frame_on(
    self, frame: int, num_windows: int
  ) -> Float64[np.ndarray, 'unknowns unknowns']:
    context, stride, features = self._shape
    frames = stride * num_windows
    tail = np.zeros(((frames - frame) * features,) * 2)
    for window in range(num_windows):
      start = window * stride - context
      left, right = max(start, frame), min(start + self._shape.width, frames)
      here = slice((left - frame) * features, (right - frame) * features)
      taps = slice((left - start) * features, (right - start) * features)
      tail[here, here] += self._projector[taps, taps]
    return tail
