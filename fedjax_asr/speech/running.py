"""Mean and variance of features by what was heard so far.

They begin as those of the training set, which count as `PRIOR_FRAMES` frames,
and go on frame by frame, the frame itself included. A frame weighs 1 until
`MEMORY_FRAMES` are behind it; from there on the past is forgotten by a factor
of 1 - 1 / `MEMORY_FRAMES` a frame:

  w = min(w + 1, MEMORY_FRAMES),  d = x - mean
  mean = mean + d / w,  variance = (1 - 1 / w) (variance + d^2 / w)

(Welford 1962; West 1979 with weights.) So a stream can be normalised, and is
whatever its length, and one piece after another is as all at once.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

PRIOR_FRAMES = 100
MEMORY_FRAMES = 1000


class Moments(NamedTuple):
  """Of the frames so far; `weight` is of how many."""

  weight: int
  mean: Float64[np.ndarray, ' features']
  variance: Float64[np.ndarray, ' features']


def start(
  mean: Float[np.ndarray, ' features'], std: Float[np.ndarray, ' features']
) -> Moments:
  """Before the first frame: those of the training set."""
  mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
  return Moments(PRIOR_FRAMES, mean, std**2)


def tracked(
  features: Float[np.ndarray, 'frames features'], moments: Moments
) -> tuple[
  Float64[np.ndarray, 'frames features'],
  Float64[np.ndarray, 'frames features'],
  Moments,
]:
  """Means and variances at each frame, and the moments after the last.

  In float64, by sums: squares are of distances to the mean at the start.
  """
  growing = max(0, MEMORY_FRAMES - moments.weight)
  first = _growing(features[:growing], moments)
  second = _forgetting(features[growing:], first[2])
  means, variances = (
    np.concatenate([one, other])
    for one, other in zip(first[:2], second[:2], strict=True)
  )
  return means, variances, second[2]


def _growing(features, moments):
  """While all frames weigh the same."""
  shifted = features - moments.mean
  weight = moments.weight + 1 + np.arange(len(features))[:, None]
  shift = np.cumsum(shifted, axis=0) / weight
  prior = moments.weight * moments.variance
  squares = (prior + np.cumsum(shifted**2, axis=0)) / weight
  return _found(shift, squares, moments, moments.weight + len(features))


def _forgetting(features, moments):
  """While what is past fades."""
  import scipy.signal  # Here, because few features are of long recordings.

  rate = 1 / MEMORY_FRAMES
  shifted = features - moments.mean

  def fading(values, before):
    averaged, _ = scipy.signal.lfilter(
      [rate], [1, rate - 1], values, axis=0, zi=(1 - rate) * before[None]
    )
    return averaged

  if not len(features):
    return features, features, moments
  shift = fading(shifted, np.zeros_like(moments.mean))
  squares = fading(shifted**2, moments.variance)
  return _found(shift, squares, moments, moments.weight)


def _found(shift, squares, moments, weight):
  if not len(shift):
    return shift, squares, moments
  means = moments.mean + shift
  variances = np.maximum(squares - shift**2, 0)
  return means, variances, Moments(weight, means[-1], variances[-1])
