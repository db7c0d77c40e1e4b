"""Descent while the noise that is reckoned with falls to what there is.

Where much noise is supposed, a likelihood has few maxima; what is found there
is the start under less.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

# What is supposed at first, of an update of norm 1 or less, and the rate.
_FIRST_DEVIATION = 1e-3
_RATE = 0.05

_Point = Float64[np.ndarray, 'frames features']


def descended(
  objective: Callable[[_Point, float], tuple[float, _Point]],
  start: _Point,
  deviation: float,
  num_steps: int,
) -> _Point:
  """By Adam (Kingma and Ba 2015), at a rate that falls along a cosine.

  `objective(point, deviation)` gives a value and its gradient.
  """
  # In NumPy: the objective is, and float64 stays float64.
  first, second = np.zeros_like(start), np.zeros_like(start)
  rates = _RATE * 0.5 * (1 + np.cos(np.pi * np.arange(num_steps) / num_steps))
  supposed = np.geomspace(
    max(_FIRST_DEVIATION, deviation), deviation, num_steps
  )
  point = start
  for step in range(num_steps):
    _, gradient = objective(point, float(supposed[step]))
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    mean = first / (1 - 0.9 ** (step + 1))
    size = np.sqrt(second / (1 - 0.999 ** (step + 1)))
    point = point - rates[step] * mean / (size + 1e-8)
  return point
