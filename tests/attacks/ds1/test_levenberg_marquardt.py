"""Damped Gauss-Newton against closed forms and known minima."""

import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr.attacks.ds1 import levenberg_marquardt


def _problem(rng, equations=30, unknowns=6):
  matrix = jnp.asarray(rng.standard_normal((equations, unknowns)), jnp.float32)
  target = jnp.asarray(rng.standard_normal(equations), jnp.float32)
  expected, *_ = np.linalg.lstsq(matrix, target, rcond=None)
  return (lambda x: matrix @ x - target), expected


def _rosenbrock(x):
  return jnp.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def _fitted(residual, point, iterations):
  begin = levenberg_marquardt.start(residual, point)
  return levenberg_marquardt.fit(residual, begin, iterations)


def test_least_squares_are_solved():
  residual, expected = _problem(np.random.default_rng(0))
  fit = _fitted(residual, jnp.full(6, 100.0), 40)
  np.testing.assert_allclose(fit.point, expected, atol=1e-4)


def test_a_curved_valley_is_followed_to_its_end():
  fit = _fitted(_rosenbrock, jnp.array([-1.2, 1.0]), 60)
  np.testing.assert_allclose(fit.point, [1.0, 1.0], atol=1e-4)


def test_units_of_the_unknowns_do_not_matter():
  units = jnp.array([1e-3, 1e3])
  begin = jnp.array([-1.2, 1.0])
  plain = _fitted(_rosenbrock, begin, 3)
  scaled = _fitted(lambda x: _rosenbrock(x * units), begin / units, 3)
  np.testing.assert_allclose(scaled.point * units, plain.point, rtol=1e-3)


def test_no_step_makes_it_worse():
  # Full steps overshoot: the residual is flat far out.
  def residual(x):
    return jnp.arctan(x) * jnp.array([1.0, 3.0])

  state = levenberg_marquardt.start(residual, jnp.array([20.0, -30.0]))
  costs = [float(state.cost)]
  for _ in range(25):
    state = levenberg_marquardt.step(residual, state)
    costs.append(float(state.cost))
  assert np.all(np.diff(costs) <= 0)
  assert costs[-1] < 1e-6 * costs[0]


def test_tolerance_ends_the_iteration():
  begin = levenberg_marquardt.start(_rosenbrock, jnp.array([-1.2, 1.0]))
  loose = levenberg_marquardt.fit(_rosenbrock, begin, 60, tolerance=5.0)
  tight = levenberg_marquardt.fit(_rosenbrock, begin, 60, tolerance=1e-8)
  assert 1e-8 < loose.cost <= 5.0
  assert tight.cost <= 1e-8


def test_vmapped_starts_are_those_of_one_at_a_time():
  points = jax.random.normal(jax.random.key(0), (4, 2))
  together = jax.vmap(lambda point: _fitted(_rosenbrock, point, 5))(points)
  for index, point in enumerate(points):
    alone = _fitted(_rosenbrock, point, 5)
    np.testing.assert_allclose(together.point[index], alone.point, rtol=1e-3)


def test_matrix_free_steps_solve_least_squares_too():
  residual, expected = _problem(np.random.default_rng(1))
  point, cost = levenberg_marquardt.refine(residual, jnp.zeros(6), 2, 12)
  np.testing.assert_allclose(point, expected, atol=1e-4)
  np.testing.assert_allclose(cost, jnp.sum(residual(point) ** 2), rtol=1e-5)


def test_matrix_free_steps_never_make_it_worse():
  begin = jnp.array([20.0, -30.0])
  before = jnp.sum(jnp.arctan(begin) ** 2)
  _, cost = levenberg_marquardt.refine(jnp.arctan, begin, 3, 5)
  assert cost <= before
