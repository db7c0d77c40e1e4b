"""Minus the logarithm of what speech has for a density, given an update.

Of whitened speech (`speech_prior`), with its derivative; and where it is least.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import (
  gated_likelihood,
  public_signals,
  speech_prior,
  window_likelihood,
)

Whitened = Float64[np.ndarray, 'frames features']
# (whitened speech) -> value and derivative.
Objective = Callable[[Whitened], tuple[float, Whitened]]

_MEMORY = 30


class Problem(NamedTuple):
  """What is received, and what is known beforehand.

  update: kernel above bias, where the bias's update is there.
  deviation: of the noise in each entry.
  """

  update: Float64[np.ndarray, 'entries units']
  deviation: float
  shape: context_windows.Shape
  prior: speech_prior.SpeechPrior
  signals: public_signals.Signals
  layer: gated_likelihood.Layer

  @property
  def kernel(self) -> Float64[np.ndarray, 'taps units']:
    return self.update[: len(self.layer.kernel)]


class Estimate(NamedTuple):
  """Whitened speech and minus the logarithm of its posterior density."""

  whitened: Whitened
  value: float


def flat(problem: Problem) -> Objective:
  """Minus the log likelihood where all units may be active."""
  received = problem.signals.received(problem.update)

  def objective(whitened: Whitened) -> tuple[float, Whitened]:
    seen = windows(problem, whitened)
    whole = seen
    if len(problem.update) > seen.shape[1]:
      whole = np.column_stack([seen, np.ones(len(seen))])
    value, gradient = window_likelihood.value_and_gradient(
      whole, received, problem.deviation
    )
    return value, _by_whitened(problem, gradient[:, : seen.shape[1]])

  return objective


def with_gates(
  problem: Problem, update: Float64[np.ndarray, 'entries units'], width: float
) -> Objective:
  def objective(whitened: Whitened) -> tuple[float, Whitened]:
    value, gradient = gated_likelihood.value_and_gradient(
      windows(problem, whitened),
      update,
      problem.layer,
      problem.deviation,
      width,
    )
    return value, _by_whitened(problem, gradient)

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
  objective: Objective, start: Whitened, num_iterations: int
) -> Estimate:
  """By L-BFGS; no worse than the start."""
  import scipy.optimize  # Here, because it takes long to import.

  def of_vector(
    point: Float64[np.ndarray, ' unknowns'],
  ) -> tuple[float, Float64[np.ndarray, ' unknowns']]:
    value, gradient = objective(point.reshape(start.shape))
    return value, gradient.ravel()

  found = scipy.optimize.minimize(
    of_vector,
    start.ravel(),
    jac=True,
    method='L-BFGS-B',
    options={
      'maxiter': num_iterations,
      'maxfun': 2 * num_iterations,
      'maxcor': _MEMORY,
    },
  )
  return Estimate(found.x.reshape(start.shape), float(found.fun))
