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


class Signals(NamedTuple):
  """What is sent back, by windows and update, along the units' axes.

  mean: of d_t, given both.
  second_moment: of d_t and d_s, summed over units.
  """

  mean: Float64[np.ndarray, 'frames units']
  second_moment: Float64[np.ndarray, 'frames frames']


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
  along = _along(windows, received, deviation)
  sent = _signals(along, deviation)
  value = 0.5 * np.sum(np.log1p(received.variances * along.sizes / variance))
  value -= 0.5 * np.sum(along.spread * along.projected**2) / variance
  gradient = sent.second_moment @ windows - sent.mean @ received.update.T
  return float(value), gradient / variance


def signals(
  windows: Float64[np.ndarray, 'frames taps'],
  received: Received,
  deviation: float,
) -> Signals:
  """What is sent back from these windows, as far as the update tells."""
  return _signals(_along(windows, received, deviation), deviation)


class _Along(NamedTuple):
  """By the principal axes of the windows' Gram matrix.

  sizes: its eigenvalues. spread: variances of d_t over that of the noise,
  given the update. projected: the update, by windows.
  """

  axes: Float64[np.ndarray, 'frames frames']
  sizes: Float64[np.ndarray, 'frames 1']
  spread: Float64[np.ndarray, 'frames units']
  projected: Float64[np.ndarray, 'frames units']


def _along(
  windows: Float64[np.ndarray, 'frames taps'],
  received: Received,
  deviation: float,
) -> _Along:
  sizes, axes = np.linalg.eigh(windows @ windows.T)
  sizes = np.maximum(sizes, 0.0)[:, None]
  spread = received.variances / (deviation**2 + received.variances * sizes)
  projected = axes.T @ (windows @ received.update)
  return _Along(axes, sizes, spread, projected)


def _signals(along: _Along, deviation: float) -> Signals:
  mean = along.axes @ (along.spread * along.projected)
  second = mean @ mean.T
  second += (
    deviation**2 * (along.axes * along.spread.sum(axis=1)) @ along.axes.T
  )
  return Signals(mean, second)
