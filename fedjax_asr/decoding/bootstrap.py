"""Confidence intervals of error rates by the percentile bootstrap.

Bisani and Ney 2004, 'Bootstrap estimates for confidence intervals in ASR
performance evaluation': utterances are drawn with replacement, as many as
there are, and the rate of each such draw is taken. That treats utterances as
independent, which those of one person are not; drawing whole speakers instead
(a cluster bootstrap) does not, and is the wider interval of the two where
speakers differ. With few speakers it is too narrow all the same: ten are few.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fedjax_asr import streams


class Interval(NamedTuple):
  """Between two quantiles of the resampled rates."""

  low: float
  high: float


def by_unit(
  errors: Int[np.ndarray, ' units'],
  lengths: Int[np.ndarray, ' units'],
  num_resamples: int,
  confidence: float,
  seed: int,
) -> Interval | None:
  """Of sum(errors) / sum(lengths); None where there are fewer than two units.

  A function of its arguments. Lengths are positive.
  """
  if len(errors) < 2:
    return None
  rates = _resampled_rates(errors, lengths, num_resamples, seed)
  tail = (1 - confidence) / 2
  low, high = np.quantile(rates, [tail, 1 - tail])
  return Interval(low=float(low), high=float(high))


def by_cluster(
  errors: Int[np.ndarray, ' units'],
  lengths: Int[np.ndarray, ' units'],
  clusters: Sequence[str],
  num_resamples: int,
  confidence: float,
  seed: int,
) -> Interval | None:
  """As `by_unit`, drawing all units of a cluster together."""
  _, places = np.unique(np.array(clusters, str), return_inverse=True)
  return by_unit(
    np.bincount(places, errors).astype(int),
    np.bincount(places, lengths).astype(int),
    num_resamples,
    confidence,
    seed,
  )


def _resampled_rates(
  errors: Int[np.ndarray, ' units'],
  lengths: Int[np.ndarray, ' units'],
  num_resamples: int,
  seed: int,
) -> Float[np.ndarray, ' resamples']:
  rng = streams.rng(seed, streams.Stream.BOOTSTRAP)
  rates = np.empty(num_resamples)
  for index in range(num_resamples):
    drawn = rng.integers(len(errors), size=len(errors))
    rates[index] = errors[drawn].sum() / lengths[drawn].sum()
  return rates
