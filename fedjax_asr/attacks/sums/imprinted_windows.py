"""Windows that an imprint isolated in an update, of one client or of a sum.

With units in ascending order of their thresholds, the updates of a unit's
kernel and of the next one's differ by sum_t c_t g_t over the windows c_t
between the two thresholds, those of their biases by sum_t g_t. Where one window
is there alone, the quotient is that window. Where several are, it is a mixture,
and nothing in the pair says so: neighbours do (`window_stitching`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from fedjax_asr.attacks.sums import imprint as imprint_lib

# Differences of biases under this share of the largest are rounding.
_LEAST = 1e-6


class Windows(NamedTuple):
  """Quotients of all pairs of units that hold something.

  values: windows or mixtures of some.
  bins: the pair of each, counted from the lowest threshold.
  signals: sum of what came back to them.
  """

  values: Float64[np.ndarray, 'windows taps']
  bins: Int[np.ndarray, ' windows']
  signals: Float64[np.ndarray, ' windows']


def isolated(
  kernel: Float64[np.ndarray, 'taps units'],
  bias: Float64[np.ndarray, ' units'],
  imprint: imprint_lib.Imprint,
) -> Windows:
  """Of an update of the first layer; of what lies along the direction where
  the thresholds say it must, within rounding."""
  kernel, bias = kernel[:, imprint.units], bias[imprint.units]
  # Above the last threshold there is no further unit.
  kernels = kernel - np.pad(kernel[:, 1:], ((0, 0), (0, 1)))
  signals = bias - np.pad(bias[1:], (0, 1))
  least = _LEAST * np.abs(bias).max(initial=0.0)
  bins = np.flatnonzero(np.abs(signals) > least)
  values = (kernels[:, bins] / signals[bins]).T
  along = values @ imprint.direction
  low = imprint.thresholds
  high = np.append(low[1:], np.inf)
  # Of one window, or of several with signals of one sign.
  slack = np.median(np.diff(low)) if len(low) > 1 else 0.0
  kept = (along >= low[bins] - slack) & (along <= high[bins] + slack)
  return Windows(values[kept], bins[kept], signals[bins][kept])
