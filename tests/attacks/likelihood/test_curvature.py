"""The curvature of the flat likelihood, and descents in its metric."""

import numpy as np
import pytest
import small_update

from fedjax_asr.attacks.likelihood import curvature, curved_descent, posterior

NOISE = 1e-2


@pytest.fixture(scope='module')
def made():
  """(whitened truth, problem)."""
  truth, problem = small_update.problem(14, NOISE)
  return problem.prior.whitened(truth), problem


def _moved_windows(problem, shape):
  """[unknowns, windows, taps], of a change by 1 of each unknown."""
  at_zero = posterior.windows(problem, np.zeros(shape))
  units = np.eye(shape[0] * shape[1]).reshape(-1, *shape)
  return np.stack(
    [posterior.windows(problem, unit) - at_zero for unit in units]
  )


def _in_words(problem, whitened):
  """The docstring's formula, unknown by unknown and unit by unit."""
  windows = posterior.windows(problem, whitened)
  whole = np.column_stack([windows, np.ones(len(windows))])
  first = problem.first
  received = first.signals.received(first.update, len(windows))
  moment, energies = np.zeros((len(windows), len(windows))), []
  for column, variance in zip(
    received.update.T, received.variances, strict=True
  ):
    precision = np.eye(len(windows)) / variance + whole @ whole.T / NOISE**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ whole @ column / NOISE**2
    moment += np.outer(mean, mean) + covariance
    energies.append(mean @ mean)
  typical = np.average(received.variances, weights=energies)
  taps = windows.shape[1]
  unexplained = np.linalg.inv(
    np.eye(taps + 1) + typical / NOISE**2 * whole.T @ whole
  )[:taps, :taps]
  moved = _moved_windows(problem, whitened.shape)
  by_unknown = np.einsum(
    'ita,ts,ab,jsb->ij', moved, moment, unexplained, moved, optimize=True
  )
  return np.eye(len(moved)) + by_unknown / NOISE**2


def test_it_is_the_formula_s(made):
  whitened, problem = made
  found = curvature.matrix(problem, whitened)
  wanted = _in_words(problem, whitened)
  np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())


def test_at_the_truth_it_is_how_the_gradient_changes(made):
  whitened, problem = made
  objective = posterior.with_prior(posterior.flat(problem))
  rng = np.random.default_rng(4)
  for _ in range(3):
    direction = rng.standard_normal(whitened.shape)
    step = 1e-4 * direction
    ends = [objective(whitened + sign * step)[1] for sign in (1, -1)]
    slope = np.sum((ends[0] - ends[1]) * direction) / 2e-4
    found = curvature.matrix(problem, whitened)
    assert direction.ravel() @ found @ direction.ravel() == pytest.approx(
      slope, rel=0.1
    )


def test_its_root_is_one(made):
  whitened, problem = made
  root = curvature.root(problem, whitened)
  matrix = curvature.matrix(problem, whitened)
  np.testing.assert_allclose(
    root @ root.T, matrix, atol=1e-5 * np.abs(matrix).max()
  )


def test_a_descent_in_its_metric_is_where_thousands_of_steps_lead(made):
  whitened, problem = made
  objective = posterior.with_prior(posterior.flat(problem))
  rng = np.random.default_rng(5)
  start = whitened + 0.3 * rng.standard_normal(whitened.shape)
  found = curved_descent.maximum(problem, objective, start, 100)
  wanted = posterior.maximum(objective, start, 20_000)
  assert found.value < wanted.value + 0.5
  few = curved_descent.maximum(problem, objective, start, 15)
  assert few.value < posterior.maximum(objective, start, 15).value - 500
  assert found.value == pytest.approx(objective(found.whitened)[0])


def test_no_iterations_leave_the_start(made):
  whitened, problem = made
  objective = posterior.with_prior(posterior.flat(problem))
  found = curved_descent.maximum(problem, objective, whitened, 0)
  np.testing.assert_array_equal(found.whitened, whitened)
  assert found.value == objective(whitened)[0]
