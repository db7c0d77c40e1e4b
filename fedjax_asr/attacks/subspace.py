"""The column space of an update, where rounding and noise fill the rest."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

# A drop under this is no drop: the last value may be noise as well.
MIN_GAP = 3.0
# Fraction of the noise's singular values that may be lower than the one that
# is compared with its largest.
_LOW = 0.25
# How often noise alone may drop as much as is asked before its last values.
_FALSE_ALARM = 1e-4


class Spectrum(NamedTuple):
  """What a rank was read from.

  layer: name of the parameter whose update it is of.
  values: singular values, largest first, of the update as it was scaled.
  rank: that was gone by.
  noise: the edge of the noise after it; 0 where no drop was found.
  min_drop: how many times the noise the last value that counts had to be.
  """

  layer: str
  values: Float64[np.ndarray, ' values']
  rank: int
  noise: float
  min_drop: float


class Subspace(NamedTuple):
  """Where the columns of a matrix lie, and where they do not.

  basis, complement: orthonormal, together a basis of the whole space.
  singular_values: of the matrix, largest first.
  gap: the last value that counts over the edge of the noise after it; 1 where
    none stands out of the noise, and the basis then spans all that the columns
    reach.
  min_drop: what the gap had to be to count.
  """

  basis: Float64[np.ndarray, 'dim rank']
  complement: Float64[np.ndarray, 'dim dim-rank']
  singular_values: Float64[np.ndarray, ' values']
  gap: float
  min_drop: float = MIN_GAP

  @property
  def rank(self) -> int:
    return self.basis.shape[1]

  def spectrum(self, layer: str) -> Spectrum:
    """What it was found by, as long as rank and gap are of each other."""
    noise = 0.0
    if self.gap > 1:
      noise = float(self.singular_values[self.rank - 1] / self.gap)
    return Spectrum(
      layer, self.singular_values, self.rank, noise, self.min_drop
    )


def column_space(matrix: Float64[np.ndarray, 'dim outputs']) -> Subspace:
  """Column space of the numerical rank that `numerical_rank` finds.

  A zero matrix has rank 0. More rows than columns are no obstacle: the
  complement is always of dimension dim - rank.
  """
  live = matrix[:, matrix.any(axis=0)]
  # What the columns' own space holds is of no concern: only R is decomposed.
  triangle = np.asarray(np.linalg.qr(live.T, mode='r')).T
  vectors, values, _ = np.linalg.svd(triangle, full_matrices=False)
  rows = int(matrix.any(axis=1).sum())
  rank, gap = numerical_rank(values, (rows, live.shape[1]))
  return split(vectors, values, rank, gap)


def split(
  vectors: Float64[np.ndarray, 'dim columns'],
  values: Float64[np.ndarray, ' values'],
  rank: int,
  gap: float,
) -> Subspace:
  """The space of the first `rank` of these singular vectors."""
  basis = vectors[:, :rank]
  complete, _ = np.linalg.qr(vectors, mode='complete')
  complement = np.concatenate(
    [vectors[:, rank:], complete[:, vectors.shape[1] :]], axis=1
  )
  return Subspace(basis, complement, values, gap)


def numerical_rank(
  values: Float64[np.ndarray, ' values'], shape: tuple[int, int]
) -> tuple[int, float]:
  """Rank and gap of a matrix with noise, from its singular values.

  The rank is where the values drop most, weighed by how level the rest is:
  noise is nearly level (Marchenko and Pastur 1967), what matters and noise
  together are not. A larger drop inside what matters is so passed over. A drop
  counts from `least_drops` on, which before the last values of a nearly square
  matrix are larger than `MIN_GAP`: noise itself drops there.

  Args:
    values: largest first.
    shape: of the matrix, without rows and columns of zeros.
  """
  values = values[: min(shape)]
  if not values.any():
    return 0, 1.0
  floor = values[0] * np.finfo(np.float64).eps * max(shape)
  edges = np.maximum(noise_edges(values, shape), floor)
  tops = np.maximum(edges, values[1:])
  ranks = np.arange(1, len(values))
  low = len(values) - 1 - (_LOW * (len(values) - ranks)).astype(int)
  drops = values[:-1] / tops
  counts = drops >= least_drops(values, shape)
  if not counts.any():
    return int((values > floor).sum()), 1.0
  scores = drops * np.maximum(values[low], floor) / tops
  best = int(np.argmax(np.where(counts, scores, -np.inf)))
  return best + 1, float(drops[best])


def least_drops(
  values: Float64[np.ndarray, ' values'], shape: tuple[int, int]
) -> Float64[np.ndarray, ' values-1']:
  """What a drop has to be at each rank from 1 on, to be none of noise alone.

  The j least singular values of noise with d more columns than rows, or rows
  than columns, are all x times smaller than they would be with a probability of
  about x^-j(j+d), whatever the variance of each entry: so far goes their joint
  density, prod_i s_i^d prod_i<k |s_i^2 - s_k^2| (James 1964), when they are all
  scaled by 1/x.
  """
  left = len(values) - np.arange(1, len(values))
  excess = abs(shape[0] - shape[1])
  by_chance = _FALSE_ALARM ** (-1 / (left * (left + excess)))
  return np.maximum(MIN_GAP, (1 + 1 / left) * by_chance)


def noise_edges(
  values: Float64[np.ndarray, ' values'], shape: tuple[int, int]
) -> Float64[np.ndarray, ' values-1']:
  """Largest singular value to expect at each rank from 1 on.

  If all values after the rank are those of independent noise of one variance.
  """
  tails = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])[1:]
  ranks = np.arange(1, len(values))
  rows, columns = shape
  return tails * ((rows - ranks) ** -0.5 + (columns - ranks) ** -0.5)
