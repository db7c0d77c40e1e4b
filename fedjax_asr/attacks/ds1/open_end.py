"""An utterance of which an update holds all windows but the last.

A trained model is sure of the silence at an utterance's end, and a recurrence
that runs forwards sends nothing back from there: the last windows c_t are
missing in sum_t c_t d_t', and others are hardly above its rounding. So neither
its rank nor the zeros beyond the end can be relied on. But every beginning of
the utterance has all of its windows in the span, whatever follows: the frames
that the last of T windows sees are as unknown as the others. The system of T
windows is singular up to the last window that the update holds, and not beyond.

What the span is, is weighed and not decided: a direction of singular value s,
in noise of e, counts as outside by e^2 / (s^2 + e^2), as in Capon's minimum
variance spectra (Capon 1969); weak windows count less by iteratively reweighted
least squares.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.ds1 import window_system

# The noise is that of the least singular values: their number, and a factor
# over their median.
_NUM_NOISE = 15
_ABOVE_NOISE = 3.0
# Windows to begin the search with; fewer can always be told from nothing.
_FIRST = 10
_NUM_REWEIGHTINGS = 5
# Windows up to this quantile of what lies outside count alike.
_LIKE = 0.3
# Part of a frame's mean energy that only zeros, beyond the end, fall under.
_SILENT = 1e-2


class Beginning(NamedTuple):
  """Frames up to the last that a window of the update saw.

  gap: by how much the next best utterance fits worse.
  has_end: whether windows saw that nothing follows.
  """

  num_windows: int
  frames: Float64[np.ndarray, 'frames features']
  gap: float
  has_end: bool


def beginning(
  kernel: Float64[np.ndarray, 'taps units'],
  shape: context_windows.Shape,
  rng: np.random.Generator,
  report: observation.Report | None = None,
) -> Beginning | None:
  """The utterance, without what the update does not hold of it.

  Frames of zeros behind are not part of it. None where the update is of too
  few units, or the model of too few windows.
  """
  longest = shape.capacity - shape.context
  if min(kernel.shape) <= _NUM_NOISE or longest <= _FIRST:
    return None
  tell = report or (lambda _: None)
  tell(f'open end: looking for the last of up to {longest} windows')
  root = _outside(kernel)
  num_windows = _last(root, shape, longest, rng)
  found = _solved(root, shape, np.ones(num_windows), rng)
  for _ in range(_NUM_REWEIGHTINGS):
    weights = _reweighted(root, shape, found.utterances[0], num_windows)
    found = _solved(root, shape, weights, rng)
  lowest = max(found.values[0], np.finfo(np.float64).tiny)
  gap = float(found.values[1] / lowest)
  tell(f'open end after {num_windows} windows, the next fits {gap:.1e} worse')
  frames = _heard(found.utterances[0])
  return Beginning(
    num_windows,
    frames,
    gap,
    has_end=len(frames) < len(found.utterances[0]),
  )


def _outside(
  kernel: Float64[np.ndarray, 'taps units'],
) -> Float64[np.ndarray, 'taps taps']:
  """Symmetric; its square weighs directions by how far outside they are."""
  vectors, values, _ = np.linalg.svd(kernel, full_matrices=False)
  noise = _ABOVE_NOISE * np.median(values[-_NUM_NOISE:])
  noise = max(noise, np.finfo(np.float64).eps * values[0])
  inside = 1 - noise / np.sqrt(values**2 + noise**2)
  return np.eye(len(vectors)) - (vectors * inside) @ vectors.T


def _solved(
  root: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
  weights: Float64[np.ndarray, ' windows'],
  rng: np.random.Generator,
) -> window_system.Solution:
  """Two utterances, of all frames that these windows see."""
  num_windows = len(weights)
  num_frames = shape.stride * (num_windows - 1) + shape.context + 1
  return window_system.smallest(
    root, shape, num_windows, 2, rng, num_frames=num_frames, weights=weights
  )


def _last(
  root: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
  longest: int,
  rng: np.random.Generator,
) -> int:
  """The number of windows after which the system ceases to be singular.

  Halves an interval towards where its least eigenvalue rises most.
  """

  def height(num_windows: int) -> float:
    value = _solved(root, shape, np.ones(num_windows), rng).values[0]
    return np.log(max(value, np.finfo(np.float64).tiny))

  low, high = _FIRST, longest
  below, above = height(low), height(high)
  while high - low > 1:
    middle = (low + high) // 2
    between = height(middle)
    if between - below < above - between:
      low, below = middle, between
    else:
      high, above = middle, between
  return low


def _reweighted(
  root: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
  utterance: Float64[np.ndarray, 'frames features'],
  num_windows: int,
) -> Float64[np.ndarray, ' windows']:
  """One over what lies outside of each window, the largest 1."""
  seen = context_windows.windows(utterance, shape, num_windows)
  energy = np.maximum(np.sum(seen**2, axis=1), np.finfo(np.float64).tiny)
  outside = np.sum((seen @ root) ** 2, axis=1) / energy
  floor = np.quantile(outside, _LIKE) + np.finfo(np.float64).eps
  return (outside.min() + floor) / (outside + floor)


def _heard(
  frames: Float64[np.ndarray, 'frames features'],
) -> Float64[np.ndarray, 'heard features']:
  energy = np.mean(frames**2, axis=1)
  heard = np.flatnonzero(energy > _SILENT * energy.mean())
  return frames[: heard[-1] + 1]
