"""Whether two utterances are of one voice, by public speech.

Assumptions: the attacker has speech of others, some utterances of each speaker,
in the features of the model. Where a client is a speaker this is evidence of
one client too; it does not look at rounds.

A voice is the means and deviations of an utterance's features. Of public
speakers these have a covariance within speakers and one between (the
two-covariance model of Brummer and de Villiers 2010), which give the
likelihood ratio of a pair.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

# Of the covariance within, this much is put on its diagonal: there are fewer
# public utterances than it has entries.
_SHRINKAGE = 0.3


class Voices(NamedTuple):
  """mean: of public speech; whitening: to a covariance within of 1 and one
  between that is diagonal; between: that diagonal."""

  mean: Float64[np.ndarray, ' dim']
  whitening: Float64[np.ndarray, 'dim dim']
  between: Float64[np.ndarray, ' dim']


def fitted(
  utterances: Sequence[Float[np.ndarray, '_ features']],
  speakers: Sequence[str],
) -> Voices | None:
  """None where no two speakers have two utterances each."""
  names, index = np.unique(list(speakers), return_inverse=True)
  counts = np.bincount(index, minlength=len(names))
  if (counts >= 2).sum() < 2:
    return None
  vectors = np.array([_vector(each) for each in utterances])
  means = np.array(
    [vectors[index == i].mean(axis=0) for i in range(len(names))]
  )
  left = vectors - means[index]
  within = left.T @ left / max(len(vectors) - len(names), 1)
  diagonal = np.diag(np.diag(within))
  within = (1 - _SHRINKAGE) * within + _SHRINKAGE * diagonal
  within += 1e-9 * np.trace(within) / len(within) * np.eye(len(within))
  root = np.linalg.inv(np.linalg.cholesky(within))
  mean = means.mean(axis=0)
  spread = (means - mean) @ root.T
  # What is within reaches the speakers' means too, the less the more they said.
  of_means = spread.T @ spread / max(len(names) - 1, 1)
  between, axes = np.linalg.eigh(
    of_means - np.mean(1 / counts) * np.eye(len(mean))
  )
  return Voices(mean, axes.T @ root, np.maximum(between, 0.0))


def log_likelihood_ratios(
  voices: Voices, utterances: Sequence[Float[np.ndarray, '_ features']]
) -> Float64[np.ndarray, 'utterances utterances']:
  """Of one voice against two, for each pair; 0 on the diagonal."""
  vectors = np.array([_vector(each) for each in utterances])
  values = (vectors - voices.mean) @ voices.whitening.T
  alone = 1 + voices.between
  # Of (x, y) with covariance [[1 + b, b], [b, 1 + b]], by sum and difference.
  together = 1 + 2 * voices.between
  squares = values**2
  sums = (values[:, None] + values) ** 2 / 2
  differences = (values[:, None] - values) ** 2 / 2
  exponents = (
    sums / together + differences - (squares[:, None] + squares) / alone
  )
  determinants = np.log(together) - 2 * np.log(alone)
  ratios = -0.5 * (exponents + determinants).sum(axis=-1)
  np.fill_diagonal(ratios, 0)
  return ratios


def _vector(
  features: Float[np.ndarray, '_ features'],
) -> Float64[np.ndarray, ' dim']:
  values = np.asarray(features, np.float64)
  return np.concatenate([values.mean(axis=0), values.std(axis=0)])
