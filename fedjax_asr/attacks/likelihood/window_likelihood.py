"""How likely a kernel's update is, given the windows that its layer saw.

The update is dW = sum_t c_t d_t' + E, c_t the windows (rows of C) and E
independent Gaussian noise. What is sent back, d_t, is nobody's to know: it is
taken to be normal, of a covariance over units that public speech tells, and
integrated out. In the units' principal axes, column k of dW is then normal with
covariance v_k C' C + e^2 I, whatever the rank. With a bias, its update is one
more row and a constant 1 one more entry of each window: this tells the sign,
which is otherwise open.

As e falls to 0 this asks what span inversion asks; as it rises, nothing.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64


class Received(NamedTuple):
  """A layer's update in the principal axes of its units.

  update: kernel, with the bias as a last row.
  variances: of d_t along each axis.
  """

  update: Float64[np.ndarray, 'taps units']
  variances: Float64[np.ndarray, ' units']


def value_and_gradient(
  windows: Float64[np.ndarray, 'frames taps'],
  received: Received,
  deviation: float,
) -> tuple[float, Float64[np.ndarray, 'frames taps']]:
  """Minus the logarithm of the likelihood, and its derivative by the windows.

  But for what does not depend on the windows: of no windows it is zero, so that
  utterances of other lengths compare. `deviation` is that of E.
  """
  variance = deviation**2
  projected = windows @ received.update
  sizes, axes = np.linalg.eigh(windows @ windows.T)
  sizes = np.maximum(sizes, 0.0)[:, None]
  along = axes.T @ projected
  # Posterior variances, over that of the noise, and means of d along the axes.
  spread = received.variances / (variance + received.variances * sizes)
  mean = spread * along
  value = 0.5 * np.sum(np.log1p(received.variances * sizes / variance))
  value -= 0.5 * np.sum(mean * along) / variance
  signals = axes @ mean
  second = signals @ signals.T / variance + (axes * spread.sum(axis=1)) @ axes.T
  gradient = second @ windows - signals @ received.update.T / variance
  return float(value), gradient
