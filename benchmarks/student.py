"""Intervals of a mean over few runs."""

import statistics
from collections.abc import Iterable

# Student's t at 97.5%, by degrees of freedom.
_QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571}


def interval(values: Iterable[float]) -> str:
  """Mean and half of the 95% interval of it, in per cent."""
  values = list(values)
  mean = f'{statistics.mean(values):.1%}'
  if len(values) < 2:
    return mean
  error = statistics.stdev(values) / len(values) ** 0.5
  return f'{mean} ± {_QUANTILES[len(values) - 1] * error:.1%}'
