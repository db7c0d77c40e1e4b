"""Scores of pairs of vectors, by what other speakers' vectors are like."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

# Of the covariance within speakers, towards a multiple of the identity: it is
# estimated from two vectors of each.
_SHRINKAGE = 0.4
_TINY = 1e-12

Pairs = Float[np.ndarray, '_ halves features']
Scores = Float[np.ndarray, 'first second']


class Backend(NamedTuple):
  """A two-covariance model (Brümmer and de Villiers 2010, PLDA's simplest).

  A vector less `mean`, times `basis`, is what its speaker is plus what differs
  from time to time: independent Gaussians of variances `between` and 1.
  """

  mean: Float[np.ndarray, ' features']
  basis: Float[np.ndarray, 'features components']
  between: Float[np.ndarray, ' components']


def cosines(fitting: Pairs, tested: Pairs) -> Scores:
  """Between first and second vectors, features standardised by `fitting`."""
  known = fitting.reshape(-1, fitting.shape[-1])
  level = (tested - known.mean(0)) / np.maximum(known.std(0), _TINY)
  sizes = np.linalg.norm(level, axis=-1, keepdims=True)
  level = level / np.maximum(sizes, _TINY)
  return level[:, 0] @ level[:, 1].T


def most_components(num_speakers: int) -> int:
  """Of which two vectors of each speaker tell both covariances."""
  return max(num_speakers - 1, 1)


def spanned(pairs: Pairs, fitting: Int[np.ndarray, ' fitting']) -> Any:
  """Coordinates in the span of the fitted vectors, about their mean."""
  known = pairs[fitting].reshape(-1, pairs.shape[-1])
  mean = known.mean(0)
  return (pairs - mean) @ _principal(known - mean, len(known))


def fitted(pairs: Pairs, num_components: int) -> Backend:
  """Principal components, then those along which speakers differ most.

  The latter by linear discriminant analysis; `between` is what is left of a
  speaker's mean once what differs from time to time is taken from it.
  """
  known = pairs.reshape(-1, pairs.shape[-1])
  mean = known.mean(0)
  projection = _principal(known - mean, num_components)
  low = (pairs - mean) @ projection
  num_speakers, halves, size = low.shape
  means = low.mean(1)
  apart = (low - means[:, None]).reshape(-1, size)
  within = apart.T @ apart / max(num_speakers * (halves - 1), 1)
  level = max(np.trace(within) / size, _TINY)
  within = (1 - _SHRINKAGE) * within + _SHRINKAGE * level * np.eye(size)
  of_means = np.atleast_2d(np.cov(means.T))
  variances, vectors = scipy.linalg.eigh(of_means, within)
  return Backend(
    mean=mean,
    basis=projection @ vectors,
    between=np.maximum(variances - 1 / halves, 0.0),
  )


def _principal(
  centered: Float[np.ndarray, 'vectors features'], count: int
) -> Float[np.ndarray, 'features components']:
  """By the products of the vectors: features are many more than they."""
  variances, left = np.linalg.eigh(centered @ centered.T)
  order = np.argsort(variances)[::-1][:count]
  order = order[variances[order] > 1e-9 * max(variances.max(), _TINY)]
  if not len(order):
    return np.zeros((centered.shape[1], 1))
  return centered.T @ (left[:, order] / np.sqrt(variances[order]))


def scores(backend: Backend, tested: Pairs) -> Scores:
  """log p(both | one speaker) - log p(both | two), of firsts and seconds."""
  first, second = np.moveaxis((tested - backend.mean) @ backend.basis, 1, 0)
  total = backend.between + 1
  determinant = total**2 - backend.between**2
  own = (1 / total - total / determinant) / 2
  shared = (first * (backend.between / determinant)) @ second.T
  constant = np.log(total**2 / determinant).sum() / 2
  return (
    constant + shared + (first**2 @ own)[:, None] + (second**2 @ own)[None, :]
  )
