"""How well a score tells two kinds of trials apart, and how sure that is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fedjax_asr.audits import proportion

Scores = Float[np.ndarray, ' _']


class Curve(NamedTuple):
  """Rates of error where scores of a threshold or more are accepted.

  Ascending in the threshold; the first accepts all, the last none.
  """

  false_accepts: Float[np.ndarray, ' points']
  false_rejects: Float[np.ndarray, ' points']


def curve(genuine: Scores, impostor: Scores) -> Curve:
  """At every threshold at which something changes."""
  thresholds = np.append(np.unique(np.concatenate([genuine, impostor])), np.inf)
  return Curve(
    false_accepts=1
    - np.searchsorted(np.sort(impostor), thresholds) / len(impostor),
    false_rejects=np.searchsorted(np.sort(genuine), thresholds) / len(genuine),
  )


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
  """Where false accepts are as many as false rejects, on the curve.

  Between two thresholds the curve is straight: who tosses a coin between them
  has any point of it. Scores that are all equal give 0.5.
  """
  accepts, rejects = curve(genuine, impostor)
  gap = rejects - accepts
  after = int(np.argmax(gap >= 0))
  if gap[after] == 0 or after == 0:
    return float(rejects[after])
  share = gap[after - 1] / (gap[after - 1] - gap[after])
  before = rejects[after - 1]
  return float(before + share * (rejects[after] - before))


def equal_error_interval(
  genuine: Scores,
  impostor: Scores,
  first: Int[np.ndarray, ' pairs'],
  second: Int[np.ndarray, ' pairs'],
  num_resamples: int,
  confidence: float,
  rng: np.random.Generator,
) -> proportion.Interval:
  """Quantiles over draws of speakers, with all of their trials.

  `first` and `second` are the speakers of impostors' scores, as places among
  the genuine. A pair counts as often as its first was drawn, times its second.
  """
  rates = []
  for _ in range(num_resamples):
    drawn = rng.integers(len(genuine), size=len(genuine))
    counts = np.bincount(drawn, minlength=len(genuine))
    times = counts[first] * counts[second]
    if times.any():
      rates.append(
        equal_error_rate(np.repeat(genuine, counts), np.repeat(impostor, times))
      )
  return _quantiles(np.array(rates), confidence)


def resampled(
  statistic: Callable[[Int[np.ndarray, ' speakers']], float],
  num_speakers: int,
  num_resamples: int,
  confidence: float,
  rng: np.random.Generator,
) -> proportion.Interval:
  """Quantiles of `statistic(drawn speakers)` over draws with replacement.

  Draws for which it is not a number, as of a single class, are left out.
  """
  found = np.array(
    [
      statistic(rng.integers(num_speakers, size=num_speakers))
      for _ in range(num_resamples)
    ]
  )
  return _quantiles(found[np.isfinite(found)], confidence)


def _quantiles(values: np.ndarray, confidence: float) -> proportion.Interval:
  if not len(values):
    return proportion.Interval(0.0, 1.0)
  tail = (1 - confidence) / 2
  low, high = np.quantile(values, [tail, 1 - tail])
  return proportion.Interval(float(low), float(high))
