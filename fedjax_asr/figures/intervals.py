"""How sure numbers are: intervals of shares, medians and means."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr import streams

_RESAMPLES = 1000
_CONFIDENCE = 0.95
# The normal distribution's quantile of that.
_Z = 1.959964


class Interval(NamedTuple):
  """95%; infinite where failures reach into it."""

  low: float
  high: float

  def finite(self) -> tuple[float | None, float | None]:
    """The ends, None for one that falls on a failure."""
    low, high = (end if math.isfinite(end) else None for end in self)
    return low, high


def share(count: int, total: int) -> Interval:
  """Of a share, by Wilson 1927: within 0 and 1 also where all or none count."""
  rate = count / total
  centre = rate + _Z**2 / (2 * total)
  spread = _Z * math.sqrt(rate * (1 - rate) / total + _Z**2 / (4 * total**2))
  scale = 1 + _Z**2 / total
  return Interval(
    max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)
  )


def median(
  values: Sequence[float | None],
  clusters: Sequence[str],
  worst: float = -math.inf,
) -> Interval | None:
  """Of a median with failures (None) inside as `worst`, by the bootstrap.

  Values of one cluster, as of the utterances of one update, are drawn
  together. None where there are fewer than two clusters.
  """
  known = np.array([worst if value is None else value for value in values])
  names = np.array(clusters)
  places = [np.flatnonzero(names == name) for name in dict.fromkeys(clusters)]
  if len(places) < 2:
    return None
  rng = streams.rng(0, streams.Stream.BOOTSTRAP)
  medians = [
    np.median(known[np.concatenate([places[index] for index in drawn])])
    for drawn in rng.integers(len(places), size=(_RESAMPLES, len(places)))
  ]
  tail = (1 - _CONFIDENCE) / 2
  # Of the draws themselves: between a number and infinity there is none.
  low, high = np.quantile(medians, (tail, 1 - tail), method='inverted_cdf')
  return Interval(float(low), float(high))


def mean_spread(
  values: Float64[np.ndarray, 'seeds places'],
) -> Float64[np.ndarray, ' places']:
  """Half of the interval of the mean over a few seeds, by Student's t.

  For two seeds or more.
  """
  import scipy.stats  # Here, because it takes long to import.

  count = len(values)
  quantile = scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1)
  return quantile * values.std(0, ddof=1) / math.sqrt(count)
