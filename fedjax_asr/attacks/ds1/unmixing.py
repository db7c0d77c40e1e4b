"""Which combinations of a null space are utterances.

Utterances of one length share a null space: what comes out of it are mixtures
v_j, and the backpropagated signals that belong to them are mixtures too,
e_j = sum_k a_jk d_k with the coefficients of x_k = sum_j a_jk v_j. A unit with
clipped ReLU passes nothing back where it is not active, so at many (frame,
unit) d_k is zero: there the vector (e_1 .. e_m) lies in a hyperplane through
the origin. The hyperplanes on which points gather are found by sampling
(Fischler and Bolles 1981); their normals are the inverse of the mixture.
"""

import numpy as np
from jaxtyping import Float64

_MAX_POINTS = 20000
_NUM_CANDIDATES = 4000
_MAX_SCREENED = 2000


def coefficients(
  signals: Float64[np.ndarray, 'basis points'], rng: np.random.Generator
) -> Float64[np.ndarray, 'utterances basis']:
  """Of each utterance along the null space's basis, norm 1.

  For as many utterances as there are mixtures, in no order and of either sign;
  which units are active where need not be known.
  """
  count = len(signals)
  points = _largest(signals, rng)
  screened = points[:, :_MAX_SCREENED]
  normals = _candidates(points, rng)
  distances = np.abs(normals @ screened)
  within = _tolerance(distances)
  inliers = distances <= within
  # Of a plane through a line on which points gather, only those are told from
  # an utterance's that hold more than the line: hence counts, not distances.
  scores = inliers.sum(axis=1)
  found = []
  for _ in range(count):
    best = int(np.argmax(scores))
    found.append(_refined(normals[best], points, within))
    outside = np.abs(found[-1] @ screened) > within
    scores = np.minimum(scores, inliers[:, outside].sum(axis=1))
  inverse = np.linalg.pinv(np.array(found)).T
  norms = np.linalg.norm(inverse, axis=1, keepdims=True)
  return inverse / np.maximum(norms, 1e-300)


def _tolerance(distances: Float64[np.ndarray, 'candidates points']) -> float:
  """What tells the points on a hyperplane from those beside it.

  In the widest gap of the logarithms of the distances, for the candidate to
  which points are nearest on the whole.
  """
  logs = np.log(np.maximum(distances, 1e-12))
  ascending = np.sort(logs[np.argmin(logs.mean(axis=1))])
  # The very nearest lie far apart by chance.
  start = min(max(8, len(ascending) // 100), len(ascending) - 2)
  gap = start + int(np.argmax(np.diff(ascending[start:])))
  return float(np.exp((ascending[gap] + ascending[gap + 1]) / 2))


def _largest(
  signals: Float64[np.ndarray, 'basis points'], rng: np.random.Generator
) -> Float64[np.ndarray, 'basis chosen']:
  """Unit vectors of the points that rounding reaches least, shuffled."""
  norms = np.linalg.norm(signals, axis=0)
  real = np.flatnonzero(norms > np.median(norms[norms > 0]))
  real = rng.permutation(real)[:_MAX_POINTS]
  return signals[:, real] / norms[real]


def _candidates(
  points: Float64[np.ndarray, 'basis points'], rng: np.random.Generator
) -> Float64[np.ndarray, 'candidates basis']:
  """Normals of hyperplanes, each through random points."""
  count, num_points = points.shape
  chosen = rng.integers(num_points, size=(_NUM_CANDIDATES, count - 1))
  through = points[:, chosen].transpose(1, 2, 0)
  return np.linalg.svd(through)[2][:, -1]


def _refined(
  normal: Float64[np.ndarray, ' basis'],
  points: Float64[np.ndarray, 'basis points'],
  within: float,
) -> Float64[np.ndarray, ' basis']:
  """The normal that fits all points near the hyperplane."""
  near = points[:, np.abs(normal @ points) <= within]
  return np.linalg.svd(near @ near.T)[0][:, -1]
