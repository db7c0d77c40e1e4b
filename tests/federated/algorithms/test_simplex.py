"""The projection to the simplex, against a slow one."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.federated.algorithms import simplex


def slowly_projected(values):
  """The nearest of the candidates: one for each set of positive weights."""
  best = None
  for chosen in itertools.product([False, True], repeat=len(values)):
    chosen = np.array(chosen)
    if not chosen.any():
      continue
    weights = np.zeros(len(values))
    weights[chosen] = values[chosen] + (1 - values[chosen].sum()) / chosen.sum()
    distance = np.linalg.norm(weights - values)
    if (weights >= 0).all() and (best is None or distance < best[0]):
      best = distance, weights
  return best[1]


@pytest.mark.parametrize('scale', [0.01, 0.3, 3.0, 100.0])
def test_it_is_the_nearest_point(scale):
  rng = np.random.default_rng(0)
  for _ in range(20):
    values = rng.normal(scale=scale, size=6).astype(np.float32)
    got = simplex.projected(jnp.asarray(values))
    wanted = slowly_projected(np.float64(values))
    np.testing.assert_allclose(got, wanted, atol=3e-6 * max(1, scale))


@pytest.mark.parametrize(
  ('values', 'wanted'),
  [
    ([0.2, 0.5, 0.3], [0.2, 0.5, 0.3]),
    ([0.0, 0.0], [0.5, 0.5]),
    ([5.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
    ([-7.0], [1.0]),
    ([1.0, 1.0, -1.0], [0.5, 0.5, 0.0]),
  ],
)
def test_points_known_by_hand(values, wanted):
  got = simplex.projected(jnp.array(values))
  np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_a_large_population_still_sums_to_one():
  rng = np.random.default_rng(0)
  values = jnp.asarray(rng.random(20_000), jnp.float32) / 10_000
  got = np.asarray(simplex.projected(values), np.float64)
  assert got.min() >= 0
  assert got.sum() == pytest.approx(1, abs=1e-3)
