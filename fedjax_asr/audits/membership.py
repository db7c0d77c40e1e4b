"""Scores of membership: high for what a model was trained on.

A unit is an utterance, or a speaker. `is_out` says which shadow trainings did
without a unit; every unit, member or not, is out of as many of them, so that
what is estimated of shadows is estimated equally well for both, and no score
tells them apart by that. A unit that no training ever had is "in" by name only.
"""

from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int

# Fewer shadows estimate one deviation for all (Carlini et al. 2022, VI.B).
_FEWEST_FOR_OWN_DEVIATION = 32
# Nats a label, below which losses are rounding.
_LEAST_LOSS = 1e-6


class Rmia(NamedTuple):
  """Parameters of Zarifzadeh et al. 2024."""

  offline_a: float
  gamma: float


def left_out(
  num_shadows: int, num_units: int, rng: np.random.Generator
) -> Bool[np.ndarray, 'shadows units']:
  """Which units each shadow does without: each is out of exactly half.

  Half of an odd number is rounded down.
  """
  order = rng.random((num_shadows, num_units)).argsort(0)
  return order < num_shadows // 2


def scaled(
  losses: Float[np.ndarray, '*axes units'],
  num_labels: Int[np.ndarray, ' units'],
) -> Float[np.ndarray, '*axes units']:
  """-log(nats per label): what LiRA takes for Gaussian.

  Carlini et al. use log(p / (1 - p)) of a classifier's probability. Of a
  transcript p = exp(-loss), and where the loss is tens of nats that is -loss,
  whose spread from model to model grows with the loss itself. The logarithm
  makes that spread one; and where p nears 1, which is where members are,
  log(p / (1 - p)) comes to -log(loss) too.
  """
  return -np.log(np.maximum(losses / num_labels, _LEAST_LOSS))


def lira(
  target: Float[np.ndarray, ' units'],
  shadows: Float[np.ndarray, 'shadows units'],
  is_out: Bool[np.ndarray, 'shadows units'],
) -> Float[np.ndarray, ' units']:
  """Offline LiRA (Carlini et al. 2022): deviations above the OUT mean.

  Its p-value is the normal tail of that, and orders units alike. Each unit is
  out of two shadows or more.
  """
  means = _mean(shadows, is_out)
  counts = is_out.sum(0)
  squares = np.where(is_out, np.square(shadows - means), 0.0).sum(0)
  if counts.min() >= _FEWEST_FOR_OWN_DEVIATION:
    variances = squares / (counts - 1)
  else:
    variances = np.full(squares.shape, squares.sum() / (counts - 1).sum())
  # Shadows that agree to the bit leave nothing to divide by.
  return (target - means) / np.sqrt(np.maximum(variances, 1e-24))


def skewness(
  shadows: Float[np.ndarray, 'shadows units'],
  is_out: Bool[np.ndarray, 'shadows units'],
) -> float:
  """Of what OUT shadows differ by from their means; 0 for Gaussians."""
  residuals = (shadows - _mean(shadows, is_out))[is_out]
  return float(scipy.stats.skew(residuals))


def rmia(
  target: Float[np.ndarray, ' units'],
  shadows: Float[np.ndarray, 'shadows units'],
  is_out: Bool[np.ndarray, 'shadows units'],
  is_reference: Bool[np.ndarray, ' units'],
  parameters: Rmia,
) -> Float[np.ndarray, ' units']:
  """Offline RMIA (Zarifzadeh et al. 2024, equations 2 to 10).

  The share of reference units z with LR(x, z) >= gamma, x itself left out.
  `target` and `shadows` are probabilities: of a transcript, exp(-nats per
  label), as the whole transcript's is so small that the offline estimate
  p(x) = ((1 + a) p_out + (1 - a)) / 2 would be the same number for all.
  """
  out = _mean(shadows, is_out)
  a = parameters.offline_a
  ratios = target / (((1 + a) * out + (1 - a)) / 2)
  references = np.sort(ratios[is_reference])
  bounds = ratios / parameters.gamma
  below = np.searchsorted(references, bounds, 'right').astype(float)
  is_own = is_reference & (ratios <= bounds)
  return (below - is_own) / (len(references) - is_reference)


def grouped(
  values: Float[np.ndarray, '*axes utterances'],
  places: Int[np.ndarray, ' utterances'],
  num_groups: int,
) -> Float[np.ndarray, '*axes groups']:
  """Means over the utterances of each group, as of a speaker."""
  sums = np.zeros((*values.shape[:-1], num_groups))
  for index in range(num_groups):
    sums[..., index] = values[..., places == index].mean(-1)
  return sums


def _mean(shadows, is_out):
  return np.where(is_out, shadows, 0.0).sum(0) / is_out.sum(0)
