"""Minus the logarithm of what speech has for a density, given an update.

Of whitened speech (`speech_prior`), with its derivative; and where it is least.

Several layers' updates count as if what is sent back through one said nothing
of what is sent back through another: a composite likelihood (Lindsay 1988),
surer than it should be, but greatest where each of them is likely.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import (
  dense_stack,
  gated_likelihood,
  public_signals,
  speech_prior,
  window_likelihood,
)

Whitened = Float64[np.ndarray, 'frames features']
# (whitened speech) -> value and derivative.
Objective = Callable[[Whitened], tuple[float, Whitened]]

_MEMORY = 30
# Relative gain of an iteration at which a descent has converged: the objective
# is of the order of the update's energy over the noise's, 1e9, of which single
# units count.
_GAIN = 1e-12


class ReceivedLayer(NamedTuple):
  """What is received of a dense layer, and what is known of it beforehand.

  update: kernel above bias, where the bias's update is there.
  deviation: of the noise in each entry.
  """

  update: Float64[np.ndarray, 'entries units']
  deviation: float
  signals: public_signals.Signals
  layer: gated_likelihood.Layer

  @property
  def kernel(self) -> Float64[np.ndarray, 'taps units']:
    return self.update[: len(self.layer.kernel)]

  def entries(
    self, inputs: Float64[np.ndarray, 'windows taps']
  ) -> Float64[np.ndarray, 'windows entries']:
    """What multiplies what is sent back: with a 1 where the bias is there."""
    if len(self.update) == inputs.shape[1]:
      return inputs
    return np.column_stack([inputs, np.ones(len(inputs))])

  def of(self, num_windows: int) -> gated_likelihood.Layer:
    """The layer, with what so many windows send back."""
    size = np.sqrt(self.signals.energy.of(num_windows))
    return self.layer._replace(deviations=self.layer.deviations * size)


class Problem(NamedTuple):
  """The layers from the first on, whose windows have this shape."""

  layers: tuple[ReceivedLayer, ...]
  shape: context_windows.Shape
  prior: speech_prior.SpeechPrior

  @property
  def first(self) -> ReceivedLayer:
    return self.layers[0]


class Estimate(NamedTuple):
  """Whitened speech and minus the logarithm of its posterior density."""

  whitened: Whitened
  value: float


def flat(problem: Problem) -> Objective:
  """Minus the log likelihood of the first layer's; any unit may be active."""
  first = problem.first

  def objective(whitened: Whitened) -> tuple[float, Whitened]:
    seen = windows(problem, whitened)
    received = first.signals.received(first.update, len(seen))
    value, gradient = window_likelihood.value_and_gradient(
      first.entries(seen), received, first.deviation
    )
    return value, _by_whitened(problem, gradient[:, : seen.shape[1]])

  return objective


def with_gates(
  problem: Problem,
  updates: Sequence[Float64[np.ndarray, '_ _']],
  width: float,
) -> Objective:
  """Of all layers; `updates`: of each, in place of what was received."""
  layers = [each.layer for each in problem.layers]

  def objective(whitened: Whitened) -> tuple[float, Whitened]:
    given = dense_stack.inputs(windows(problem, whitened), layers)
    total, by_inputs = 0.0, []
    for received, update, inputs in zip(
      problem.layers, updates, given, strict=True
    ):
      value, gradient = gated_likelihood.value_and_gradient(
        inputs, update, received.of(len(inputs)), received.deviation, width
      )
      total += value
      by_inputs.append(gradient)
    gradient = dense_stack.pulled_back(by_inputs, given, layers)
    return total, _by_whitened(problem, gradient)

  return objective


def windows(
  problem: Problem, whitened: Whitened
) -> Float64[np.ndarray, 'windows taps']:
  speech = problem.prior.speech(whitened)
  return context_windows.windows(speech, problem.shape, len(speech))


def _by_whitened(
  problem: Problem, by_windows: Float64[np.ndarray, 'windows taps']
) -> Whitened:
  by_frames = context_windows.overlapped(by_windows, problem.shape)
  return problem.prior.pulled_back(by_frames)


def with_prior(
  likelihood: Objective, centre: Whitened | float = 0.0
) -> Objective:
  """With the prior; `centre` is where the prior is drawn to have its mean."""

  def objective(whitened: Whitened) -> tuple[float, Whitened]:
    value, gradient = likelihood(whitened)
    apart = whitened - centre
    return value + 0.5 * float(np.sum(apart**2)), gradient + apart

  return objective


def maximum(
  objective: Objective,
  start: Whitened,
  num_iterations: int,
  root: Float64[np.ndarray, 'unknowns unknowns'] | None = None,
) -> Estimate:
  """By L-BFGS; no worse than the start.

  `root`: lower triangular, of a matrix like the objective's second derivatives.
  The descent is then in coordinates in which that is the identity.
  """
  import scipy.linalg  # Here, because both take long to import.
  import scipy.optimize

  def moved(point: Float64[np.ndarray, ' unknowns']) -> Whitened:
    if root is not None:
      point = scipy.linalg.solve_triangular(
        root, point, trans=1, lower=True, check_finite=False
      )
    return start + point.reshape(start.shape)

  def of_vector(
    point: Float64[np.ndarray, ' unknowns'],
  ) -> tuple[float, Float64[np.ndarray, ' unknowns']]:
    value, gradient = objective(moved(point))
    if root is None:
      return value, gradient.ravel()
    return value, scipy.linalg.solve_triangular(
      root, gradient.ravel(), lower=True, check_finite=False
    )

  found = scipy.optimize.minimize(
    of_vector,
    np.zeros(start.size),
    jac=True,
    method='L-BFGS-B',
    options={
      'maxiter': num_iterations,
      'maxfun': 2 * num_iterations,
      'maxcor': _MEMORY,
      'ftol': _GAIN,
    },
  )
  return Estimate(moved(found.x), float(found.fun))
