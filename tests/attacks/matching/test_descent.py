import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.matching import descent

CENTRE = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
SCALES = np.array([[1.0, 4.0], [2.0, 0.5]], np.float32)


def bowl(point):
  return (SCALES * jnp.square(point - CENTRE)).sum()


def run(optimizer, num_iterations, objective=bowl, **fields):
  """(points, values) that it goes through from the origin."""
  cfg = config.MatchingConfig(
    optimizer=config.MatchingOptimizer(optimizer), **fields
  )
  minimiser = descent.descent(cfg)
  point = jnp.zeros(CENTRE.shape)

  def body(carry, key):
    moved, state, value = minimiser.step(objective, *carry, key)
    return (moved, state), (carry[0], value)

  keys = jax.random.split(jax.random.key(0), num_iterations)
  start = (point, minimiser.start(objective, point))
  _, (points, values) = jax.jit(lambda: jax.lax.scan(body, start, keys))()
  return np.asarray(points), np.asarray(values)


@pytest.mark.parametrize(
  ('optimizer', 'num_iterations', 'rate'),
  [
    ('adam', 400, 0.1),
    ('sgd', 200, 0.1),
    ('signed_adam', 200, 0.1),
    ('lbfgs', 20, 0.1),
    ('random_search', 400, 0.2),
  ],
)
def test_each_minimiser_goes_to_the_bottom_of_a_bowl(
  optimizer, num_iterations, rate
):
  points, values = run(
    optimizer, num_iterations, learning_rate=rate, halve_every=50
  )
  np.testing.assert_allclose(values, [bowl(point) for point in points], 1e-4)
  np.testing.assert_allclose(points[-1], CENTRE, atol=0.02)


def test_sgd_is_plain_and_its_rate_halves():
  points, _ = run('sgd', 5, learning_rate=0.08, halve_every=2)
  want = np.zeros_like(CENTRE)
  for index, point in enumerate(points):
    np.testing.assert_allclose(point, want, rtol=1e-5)
    rate = 0.08 / 2 ** (index // 2)
    want = want - rate * 2 * SCALES * (want - CENTRE)


def test_signed_adam_does_not_see_how_steep_it_is():
  flat, _ = run('signed_adam', 20, lambda point: 1e-6 * bowl(point))
  steep, _ = run('signed_adam', 20)
  np.testing.assert_array_equal(flat, steep)
  # Adam's first step is the rate, whatever the gradient.
  np.testing.assert_allclose(steep[1], 0.1 * np.sign(CENTRE), rtol=1e-4)


def test_random_search_never_goes_up_and_steps_by_the_rate():
  points, values = run('random_search', 50, learning_rate=0.3)
  assert (np.diff(values) <= 0).all()
  steps = np.linalg.norm(np.diff(points, axis=0), axis=(1, 2))
  moved = steps > 0
  assert 5 < moved.sum() < 50
  np.testing.assert_allclose(steps[moved], 0.3, rtol=1e-4)
