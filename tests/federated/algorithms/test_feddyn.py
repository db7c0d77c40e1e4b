"""FedDyn on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import clipping
from fedjax_asr.federated.algorithms import feddyn

RATE, ALPHA = 0.1, 0.6
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
# The last has nothing to train on; it counts in the population.
CLIENTS = (*linear.UNEQUAL, linear.Data([]))
COHORTS = [0, 1, 2], [1], [0, 2], [1, 0]


def method():
  return feddyn.feddyn(linear.gradient, optax.sgd, ALPHA, 3)


@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_model_and_gradients_are_those_of_the_paper(block_size, num_devices):
  """Algorithm 1 as it is written there: models and not updates are averaged."""
  simulation = linear.Simulation(
    method(),
    SETTINGS,
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  theta, h, own = np.zeros(2), np.zeros(2), np.zeros((3, 2))
  for ids in COHORTS:
    simulation.round(ids)
    local = []
    for index in ids:
      if not CLIENTS[index].batches:
        continue

      def regularised(slope, mine, index=index, theta=theta):
        return slope - own[index] + ALPHA * (mine - theta)

      mine = linear.sgd_by_hand(theta, CLIENTS[index], RATE, regularised)
      own[index] -= ALPHA * (mine - theta)
      local.append(mine)
    h = h - ALPHA / 3 * np.sum([mine - theta for mine in local], axis=0)
    theta = np.mean(local, axis=0) - h / ALPHA
    np.testing.assert_allclose(simulation.w, theta, rtol=1e-5)
    np.testing.assert_allclose(simulation.state.memory['w'], h, rtol=1e-5)
    kept = [memory.algorithm['w'] for memory in simulation.memories]
    np.testing.assert_allclose(kept, own, rtol=1e-5, atol=1e-6)


def test_a_cohort_with_nothing_to_train_on_changes_nothing():
  simulation = linear.Simulation(method(), SETTINGS, CLIENTS)
  simulation.round()
  w, h = simulation.w, np.asarray(simulation.state.memory['w'])
  simulation.round([2])
  np.testing.assert_array_equal(simulation.w, w)
  np.testing.assert_array_equal(simulation.state.memory['w'], h)


def test_the_server_makes_its_h_of_what_came_out_of_the_channel():
  clip = 0.05
  simulation = linear.Simulation(
    method(), SETTINGS, CLIENTS, clipping.flat(clip)
  )
  simulation.round([1])
  h = np.asarray(simulation.state.memory['w'])
  # One client of three, whose update was longer than the clipping norm.
  assert np.linalg.norm(h) == pytest.approx(ALPHA / 3 * clip, rel=1e-5)
  own = simulation.memories[1].algorithm['w']
  assert np.linalg.norm(own) > 2 * ALPHA * clip
