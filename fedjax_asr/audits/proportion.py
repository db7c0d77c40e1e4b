"""Shares of trials, with intervals that hold whatever the share is."""

from typing import NamedTuple

import scipy.stats


class Interval(NamedTuple):
  """Of a confidence; both ends may be the same."""

  low: float
  high: float


def clopper_pearson(hits: int, trials: int, confidence: float) -> Interval:
  """Of a probability, exact (Clopper and Pearson 1934)."""
  tail = (1 - confidence) / 2
  beta = scipy.stats.beta
  low, high = 0.0, 1.0
  if hits:
    low = float(beta.ppf(tail, hits, trials - hits + 1))
  if hits < trials:
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits))
  return Interval(low, high)
