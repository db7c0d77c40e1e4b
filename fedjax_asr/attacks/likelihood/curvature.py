"""How sharply the flat likelihood of a noisy update bends.

The update is dW = C' D + E. Windows C + dC with the signals D that suit them
best leave Q dC' D of dW unexplained, where Q takes out what the windows explain
themselves. So, with M the second moment of D over units, in Gauss's and
Newton's approximation (of variable projection, Kaufman 1975), a change of the
windows costs

  1/2 tr(M dC Q dC') / e^2

Windows that are filtered over time span nearly the same, so that these numbers
differ by many orders: gradients alone take thousands of steps to where a few
dozen lead in the coordinates in which this is the identity.
"""

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import posterior, window_likelihood

# Of the mean diagonal, added to it: what is approximate is not told to be flat.
_RIDGE = 1e-6
# Transforms are of multiples of it, which factor into small primes.
_QUANTUM = 16


def root(
  problem: posterior.Problem, whitened: posterior.Whitened
) -> Float64[np.ndarray, 'unknowns unknowns']:
  """The lower triangular root of `matrix`, with a ridge.

  Unknowns are frames times features, a frame's after another's. Takes memory
  with the square of their number, and time with its cube: a second for 3,000.
  """
  import scipy.linalg  # Here, because it takes long to import.

  count, features = whitened.shape
  bent = matrix(problem, whitened)
  diagonal = np.diag_indices(count * features)
  bent[diagonal] += _RIDGE * np.mean(bent[diagonal])
  return scipy.linalg.cholesky(
    bent, lower=True, overwrite_a=True, check_finite=False
  )


def matrix(
  problem: posterior.Problem, whitened: posterior.Whitened
) -> Float64[np.ndarray, 'unknowns unknowns']:
  """Of minus the log posterior by whitened speech; the prior's is 1."""
  count, features = whitened.shape
  moment, unexplained = _parts(problem, posterior.windows(problem, whitened))
  by_speech = _by_frames(moment, unexplained, problem.shape)
  time, root = problem.prior.time_root(count), problem.prior.root
  # One axis after the other, each in place of frames or features.
  bent = by_speech @ root
  bent = np.einsum('tfsg,fh->thsg', bent, root, optimize=True)
  bent = np.einsum('tfsg,tr->rfsg', bent, time, optimize=True)
  bent = np.einsum('tfsg,sr->tfrg', bent, time, optimize=True)
  bent = bent.reshape(count * features, count * features)
  bent = (bent + bent.T) / 2
  bent[np.diag_indices(len(bent))] += 1.0
  return bent


def _parts(
  problem: posterior.Problem, windows: Float64[np.ndarray, 'windows taps']
) -> tuple[
  Float64[np.ndarray, 'windows windows'], Float64[np.ndarray, 'taps taps']
]:
  """M / e^2, and Q for signals of the variance that most of them have."""
  first = problem.first
  whole = first.entries(windows)
  received = first.signals.received(first.update, len(windows))
  sent = window_likelihood.signals(whole, received, first.deviation)
  energies = np.sum(sent.mean**2, axis=0)
  variance = float(energies @ received.variances / energies.sum())
  noise = first.deviation**2
  gram = whole @ whole.T
  gram[np.diag_indices(len(gram))] += noise / variance
  unexplained = np.eye(windows.shape[1])
  unexplained -= windows.T @ np.linalg.solve(gram, windows)
  return sent.second_moment / noise, unexplained


def _by_frames(
  moment: Float64[np.ndarray, 'frames frames'],
  unexplained: Float64[np.ndarray, 'taps taps'],
  shape: context_windows.Shape,
) -> Float64[np.ndarray, 'frames features frames features']:
  """Frame t is at tap a of window t - a: sums over both windows' taps."""
  count, features = len(moment), shape.num_features
  reach = count + shape.width - 1
  size = reach + -reach % _QUANTUM
  inside = slice(shape.context, shape.context + count)
  by_tap = unexplained.reshape(shape.width, features, shape.width, features)
  spectrum = np.fft.rfft2(moment, (size, size))
  summed = np.empty((count, features, count, features))
  for feature in range(features):
    other = by_tap[:, feature].transpose(2, 0, 1)
    product = np.fft.rfft2(other, (size, size)) * spectrum
    convolved = np.fft.irfft2(product, (size, size))
    summed[:, feature] = convolved[:, inside, inside].transpose(1, 2, 0)
  return summed
