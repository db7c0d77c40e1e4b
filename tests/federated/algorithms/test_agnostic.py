"""Agnostic federated learning on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import agnostic

RATE, CLIMB = 0.1, 0.05
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
# The last has nothing to train on; it counts in the population.
CLIENTS = (*linear.UNEQUAL, linear.Data([[((0.0, 1.0), 2)]]), linear.Data([]))
COHORTS = [2, 0, 3], [1, 3], [0, 1, 2], [3], [1, 2]


def method(climb=CLIMB):
  return agnostic.agnostic(linear.gradient, optax.sgd, climb, len(CLIENTS))


def projected_by_bisection(values):
  low, high = values.min() - 1, values.max()
  for _ in range(100):
    middle = (low + high) / 2
    if np.maximum(values - middle, 0).sum() > 1:
      low = middle
    else:
      high = middle
  return np.maximum(values - low, 0)


@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_weights_climb_where_losses_are_large(block_size, num_devices):
  simulation = linear.Simulation(
    method(),
    SETTINGS,
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  w, weights = np.zeros(2), np.full(4, 0.25)
  for ids in COHORTS:
    simulation.round(ids)
    present = [index for index in ids if CLIENTS[index].batches]
    losses, local = np.zeros(4), []
    for index in present:
      rows = [row for batch in CLIENTS[index].batches for row in batch]
      losses[index] = linear.loss_by_hand(w, rows)
      local.append(linear.sgd_by_hand(w, CLIENTS[index], RATE))
    if present:
      w = np.average(local, axis=0, weights=weights[present])
      climbed = weights + CLIMB * 4 / len(present) * losses
      weights = projected_by_bisection(climbed)
    np.testing.assert_allclose(simulation.w, w, rtol=1e-5)
    got = simulation.state.memory
    np.testing.assert_allclose(got, weights, rtol=1e-4, atol=1e-6)


def test_a_cohort_without_weight_leaves_the_model():
  simulation = linear.Simulation(method(climb=100.0), SETTINGS, CLIENTS)
  simulation.round([0])
  np.testing.assert_allclose(simulation.state.memory, [1, 0, 0, 0])
  before = simulation.w
  simulation.round([1])
  np.testing.assert_array_equal(simulation.w, before)
