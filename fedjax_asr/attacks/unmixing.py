"""Which combinations of a null space are utterances.

Utterances of one length share a null space: what comes out of it are mixtures
v_j, and the backpropagated signals that belong to them are mixtures too,
e_j = sum_k a_jk d_k with the same coefficients as in x_k = sum_j a_jk v_j. A
unit with clipped ReLU passes nothing back where it is not active, so at many
(frame, unit) only one utterance's d_k is not zero, and the vector of all e_j
there is parallel to (a_1k .. a_mk): those directions recur, others do not.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

_MAX_POINTS = 20000
_NUM_CANDIDATES = 400


class Mixture(NamedTuple):
  """Directions that recur.

  coefficients: of each member along the null space's basis, norm 1; fewer
    members than mixtures where no more directions recur.
  spread: the largest sine within which the points around one of them lie.
  """

  coefficients: Float64[np.ndarray, 'members basis']
  spread: float


def recurring_directions(
  signals: Float64[np.ndarray, 'basis points'], rng: np.random.Generator
) -> Mixture:
  """As many directions as there are mixtures.

  A point in a hundred, or eight where there are few, must lie around one; it
  needs no tolerance, as other directions are spread out.
  """
  members = len(signals)
  points = _largest(signals, rng)
  chosen = rng.choice(points.shape[1], min(_NUM_CANDIDATES, points.shape[1]))
  sines = _sines(points[:, chosen].T, points)
  share = min(max(8, points.shape[1] // 100), points.shape[1] - 1)
  radii = np.partition(sines, share, axis=1)[:, share]
  free = np.ones(len(chosen), bool)
  coefficients, spreads = [], []
  for _ in range(members):
    if not free.any():
      break
    best = int(np.argmin(np.where(free, radii, np.inf)))
    near = sines[best] <= radii[best]
    direction = _axis(points[:, near])
    coefficients.append(direction)
    spreads.append(radii[best])
    free &= ~_near(points[:, chosen], direction, radii[best])
  return Mixture(np.array(coefficients), float(max(spreads)))


def _largest(signals, rng):
  """Unit vectors of the points that rounding reaches least."""
  norms = np.linalg.norm(signals, axis=0)
  real = np.flatnonzero(norms > np.median(norms[norms > 0]))
  if len(real) > _MAX_POINTS:
    real = rng.choice(real, _MAX_POINTS, replace=False)
  return signals[:, real] / norms[real]


def _sines(
  directions: Float64[np.ndarray, 'candidates basis'],
  points: Float64[np.ndarray, 'basis points'],
) -> Float64[np.ndarray, 'candidates points']:
  """Sines of the angles between unit vectors, down to 1e-8."""
  return np.sqrt(np.maximum(1 - (directions @ points) ** 2, 0))


def _near(
  points: Float64[np.ndarray, 'basis points'],
  direction: Float64[np.ndarray, ' basis'],
  radius: float,
) -> Bool[np.ndarray, ' points']:
  """Points of the same direction, and of its surroundings."""
  return _sines(direction[None], points)[0] <= 10 * radius + 1e-6


def _axis(
  points: Float64[np.ndarray, 'basis points'],
) -> Float64[np.ndarray, ' basis']:
  """Unit vector along which the points lie, of either sign."""
  return np.linalg.svd(points, full_matrices=False)[0][:, 0]
