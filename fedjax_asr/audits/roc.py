"""How well a score tells members from non-members.

Intervals take the scores for independent, which those of one speaker are not:
theirs are then too narrow.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from fedjax_asr.audits import proportion

Members = Float[np.ndarray, ' members']
Others = Float[np.ndarray, ' others']
# False positive rates at which attacks are compared (Carlini et al. 2022).
LOW_RATES = 0.001, 0.01
_MOST_POINTS = 200


class Curve(NamedTuple):
  """Rates above each threshold, from (0, 0) to (1, 1); ties are one point."""

  fpr: Float[np.ndarray, ' points']
  tpr: Float[np.ndarray, ' points']


def curve(members: Members, others: Others) -> Curve:
  """The whole of it; who has a high score is said to be a member."""
  thresholds = np.unique(np.concatenate([members, others]))[::-1]

  def rates(scores):
    above = len(scores) - np.searchsorted(np.sort(scores), thresholds, 'left')
    return np.append(0.0, above / len(scores))

  return Curve(rates(others), rates(members))


def auc(members: Members, others: Others) -> float:
  """P(a member's score is higher) + P(they are equal) / 2."""
  ranks = scipy.stats.rankdata(np.concatenate([members, others]))
  least = len(members) * (len(members) + 1) / 2
  won = ranks[: len(members)].sum() - least
  return float(won / (len(members) * len(others)))


def auc_interval(
  members: Members, others: Others, confidence: float
) -> tuple[proportion.Interval, str]:
  """(interval of the area, the method's name).

  DeLong et al. 1988, cut to [0, 1]. Its variance is zero where the scores
  separate; then it is that of min(m, n) disjoint pairs, all of which were
  told right (or wrong): independent trials, so that Clopper and Pearson's
  holds.
  """
  area = auc(members, others)
  if area in (0.0, 1.0):
    pairs = min(len(members), len(others))
    told = pairs if area else 0
    return proportion.clopper_pearson(
      told, pairs, confidence
    ), 'clopper_pearson_of_pairs'
  num_members, num_others = len(members), len(others)
  ranks = scipy.stats.rankdata(np.concatenate([members, others]))
  below = ranks[:num_members] - scipy.stats.rankdata(members)
  above = num_members - (ranks[num_members:] - scipy.stats.rankdata(others))
  variance = np.var(below / num_others, ddof=1) / num_members
  variance += np.var(above / num_members, ddof=1) / num_others
  deviations = float(scipy.stats.norm.ppf((1 + confidence) / 2))
  width = deviations * math.sqrt(variance)
  interval = proportion.Interval(max(area - width, 0.0), min(area + width, 1.0))
  return interval, 'delong'


def tpr_at(
  members: Members, others: Others, rate: float, confidence: float
) -> dict[str, Any]:
  """The share of members above a threshold that so many others are above.

  The threshold is the lowest with at most that rate. Its own choice is not in
  the interval. A rate below one other in all cannot be told from zero: `tpr`
  is None, and `missing` says why.
  """
  record: dict[str, Any] = {'fpr': rate, 'tpr': None, 'interval': None}
  if rate * len(others) < 1:
    record['missing'] = (
      f'{len(others)} non-members resolve no rate below {1 / len(others):.2g}'
    )
    return record
  # Higher than the first that would be one too many.
  allowed = math.floor(rate * len(others) + 1e-9)
  ordered = np.sort(others)[::-1]
  threshold = ordered[allowed] if allowed < len(others) else -np.inf
  count = int((members > threshold).sum())
  record['tpr'] = count / len(members)
  record['interval'] = list(
    proportion.clopper_pearson(count, len(members), confidence)
  )
  return record


def measured(
  members: Members, others: Others, confidence: float
) -> dict[str, Any]:
  """What `audit.json` has of a score; two or more of each, all finite.

  balanced_accuracy: of the best threshold, chosen on these same scores.
  """
  points = curve(members, others)
  interval, method = auc_interval(members, others, confidence)
  accuracy = (points.tpr + 1 - points.fpr) / 2
  thin = _thinned(points)
  return {
    'num_members': len(members),
    'num_nonmembers': len(others),
    'auc': auc(members, others),
    'auc_interval': list(interval),
    'auc_interval_method': method,
    'smallest_fpr': 1 / len(others),
    'tpr_at_fpr': [
      tpr_at(members, others, rate, confidence) for rate in LOW_RATES
    ],
    'balanced_accuracy': float(accuracy.max()),
    'roc': {'fpr': thin.fpr.tolist(), 'tpr': thin.tpr.tolist()},
  }


def _thinned(points: Curve) -> Curve:
  """Points at even distances, and more of them at low rates."""
  last = len(points.fpr) - 1
  if last < _MOST_POINTS:
    return points
  half = _MOST_POINTS // 2
  even = np.linspace(0, last, half)
  low = np.geomspace(1, last, half)
  kept = np.unique(np.round(np.append(even, low)).astype(int))
  return Curve(points.fpr[kept], points.tpr[kept])
