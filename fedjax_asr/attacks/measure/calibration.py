"""Whether stated errors are the errors: how often an interval held."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# Nominal rates of central intervals of a normal distribution.
RATES = (0.5, 0.8, 0.9, 0.95, 0.99)


class Calibration(NamedTuple):
  """Over all numbers of the frames that truth and reconstruction share.

  held: by rate, the share of numbers that the interval held.
  squared: mean of the squared error over the stated variance; 1 if honest.
  """

  held: tuple[float, ...]
  squared: float


def calibration(
  truth: Float[np.ndarray, 'true features'],
  found: Float[np.ndarray, 'frames features'],
  deviations: Float[np.ndarray, ' frames'],
  rates: Sequence[float] = RATES,
) -> Calibration:
  """Of one utterance and the deviations of its frames.

  Frames stand from the beginning; those behind the shorter's end are left out.
  """
  import scipy.special  # Here, because it takes long to import.

  count = min(len(truth), len(found))
  scale = np.maximum(deviations[:count, None], np.finfo(np.float32).tiny)
  errors = np.abs(truth[:count] - found[:count]).astype(np.float64) / scale
  widths = np.sqrt(2) * scipy.special.erfinv(np.asarray(rates))
  held = tuple(float(np.mean(errors <= width)) for width in widths)
  return Calibration(held, float(np.mean(errors**2)))
