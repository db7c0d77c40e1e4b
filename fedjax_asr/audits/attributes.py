"""What a vector tells of its speaker: a class or a number, by ridge regression.

Fitted on speakers, tested on others; the penalty is chosen among the former.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from fedjax_asr.audits import feature_blocks

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
_NUM_INNER_FOLDS = 3

Targets = Float[np.ndarray, ' speakers']


class Guesses(NamedTuple):
  """One of each speaker, the mean over its vectors, by a fit on others.

  penalties: of each fold, in units of the mean variance of a vector.
  """

  values: Float[np.ndarray, ' speakers']
  penalties: tuple[float, ...]


def guessed(
  blocks: Sequence[feature_blocks.Block],
  targets: Targets,
  fold: Int[np.ndarray, ' speakers'],
) -> Guesses:
  """Least squares with a penalty, of each fold by all others.

  Every vector has several blocks, brought to one variance by the speakers that
  are fitted. Two classes are targets of -1 and 1: each then weighs as much as
  the other, however many there are of it.
  """
  values = np.zeros(len(targets))
  penalties = []
  for each in np.unique(fold):
    known, members = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
    inner = np.arange(len(known)) % min(_NUM_INNER_FOLDS, len(known))
    products = _products(feature_blocks.levelled(blocks, known), known)
    losses = [
      sum(
        _loss(products, targets, known, inner == part, penalty)
        for part in np.unique(inner)
      )
      for penalty in _PENALTIES
    ]
    penalty = _PENALTIES[int(np.argmin(losses))]
    values[members] = _ridge(products, targets, known, members, penalty)
    penalties.append(penalty)
  return Guesses(values, tuple(penalties))


def _products(vectors, known) -> Float[np.ndarray, 'speakers speakers']:
  """Of speakers' mean vectors, less what the known ones have in common.

  Features are many more than speakers: what is fitted is a sum of speakers.
  """
  means = vectors.mean(1)
  centered = means - means[known].mean(0)
  products = centered @ centered.T
  return products / max(float(np.diag(products)[known].mean()), 1e-12)


def _loss(products, targets, known, held, penalty) -> float:
  fitted, tested = known[~held], known[held]
  if not len(fitted):
    return 0.0
  guesses = _ridge(products, targets, fitted, tested, penalty)
  weights = _weights(targets)[tested]
  return float((weights * (guesses - targets[tested]) ** 2).sum())


def _ridge(products, targets, known, tested, penalty):
  """Weighted, with a free constant."""
  weights = _weights(targets, known)
  constant = (weights * targets[known]).sum() / weights.sum()
  system = products[np.ix_(known, known)] + penalty * np.diag(1 / weights)
  solved = np.linalg.solve(system, targets[known] - constant)
  return products[np.ix_(tested, known)] @ solved + constant


def _weights(targets, known=None):
  """Classes weigh alike; numbers, each as much as another."""
  chosen = targets if known is None else targets[known]
  weights = np.ones(len(chosen))
  if set(np.unique(targets)) <= {-1.0, 1.0}:
    for kind in np.unique(chosen):
      is_kind = chosen == kind
      weights[is_kind] = len(chosen) / (2 * is_kind.sum())
  return weights


def balanced_accuracy(guesses: Targets, targets: Targets) -> float:
  """Mean over two classes of the share that is right; NaN of a single one."""
  is_right = (guesses > 0) == (targets > 0)
  shares = [
    is_right[targets > 0].mean() if (targets > 0).any() else np.nan,
    is_right[targets <= 0].mean() if (targets <= 0).any() else np.nan,
  ]
  return float(np.mean(shares))


def explained_variance(guesses: Targets, targets: Targets) -> float:
  """R^2: below 0 where the mean of the targets would have been nearer."""
  spread = ((targets - targets.mean()) ** 2).sum()
  return float(1 - ((guesses - targets) ** 2).sum() / spread if spread else 0)


def rank_correlation(guesses: Targets, targets: Targets) -> float:
  """Spearman's; NaN where one of them is constant."""
  if np.ptp(guesses) == 0 or np.ptp(targets) == 0:
    return float('nan')
  found: Any = scipy.stats.spearmanr(guesses, targets)
  return float(found[0])
