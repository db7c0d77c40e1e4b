"""Ditto on linear clients, by hand."""

import linear
import numpy as np
import optax
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import ditto, fedavg

RATE, OWN_RATE, REGULARIZATION = 0.1, 0.2, 0.5
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
LAYOUTS = [(0, 1), (1, 1), (1, 2), (4, 1)]
# Who takes part in each round: client 1 comes later.
DRAWN = ([0], [0, 1], [1], [0, 1])


def method(clip_norm=0.0):
  base = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UTTERANCES)
  own = config.DittoConfig(
    regularization=REGULARIZATION, learning_rate=OWN_RATE
  )
  return ditto.ditto(base, linear.gradient, own, clip_norm)


def trained_by_hand(w, v, client):
  """(local weights, personal weights) after a round from `w` and `v`."""
  mine = w.copy()
  for rows in client.batches:
    mine = mine - RATE * linear.slope_by_hand(mine, rows)
    slope = linear.slope_by_hand(v, rows) + REGULARIZATION * (v - w)
    v = v - OWN_RATE * slope
  return mine, v


@pytest.mark.parametrize(('block_size', 'num_devices'), LAYOUTS)
def test_personal_models_follow_algorithm_1(block_size, num_devices):
  simulation = linear.Simulation(
    method(), SETTINGS, block_size=block_size, num_devices=num_devices
  )
  w, personal = np.zeros(2), [np.zeros(2), np.zeros(2)]
  sizes = [sum(map(len, client.batches)) for client in linear.UNEQUAL]
  for drawn in DRAWN:
    simulation.round(drawn)
    local = []
    for index in drawn:
      mine, personal[index] = trained_by_hand(
        w, personal[index], linear.UNEQUAL[index]
      )
      local.append(mine)
    w = np.average(local, axis=0, weights=[sizes[index] for index in drawn])
    np.testing.assert_allclose(simulation.w, w, rtol=1e-5)
    for kept, v in zip(simulation.memories, personal, strict=True):
      np.testing.assert_allclose(kept.algorithm.params['w'], v, rtol=1e-5)


def test_the_global_model_is_that_of_fedavg():
  base = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UTTERANCES)
  simulations = [linear.Simulation(each, SETTINGS) for each in (base, method())]
  for drawn in DRAWN:
    for simulation in simulations:
      simulation.round(drawn)
  np.testing.assert_array_equal(simulations[0].w, simulations[1].w)


def test_the_own_gradient_is_clipped_before_the_pull():
  simulation = linear.Simulation(method(clip_norm=0.01), SETTINGS)
  simulation.round([1])
  simulation.round([1])
  w, v = np.zeros(2), np.zeros(2)
  for _ in range(2):
    slope = linear.slope_by_hand(v, linear.UNEQUAL[1].batches[0])
    slope *= 0.01 / np.linalg.norm(slope)
    v = v - OWN_RATE * (slope + REGULARIZATION * (v - w))
    w = w - RATE * linear.slope_by_hand(w, linear.UNEQUAL[1].batches[0])
  np.testing.assert_allclose(
    simulation.memories[1].algorithm.params['w'], v, rtol=1e-5
  )


def test_a_client_whose_own_model_overflows_is_left_out():
  base = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UNIFORM)
  own = config.DittoConfig(regularization=0.0, learning_rate=1e30)
  # One step is finite, and a second one is not.
  simulation = linear.Simulation(
    ditto.ditto(base, linear.gradient, own, 0.0), SETTINGS
  )
  outcome = simulation.round()
  assert outcome.reports.is_broken.tolist() == [[[True, False]]]
  rows = linear.UNEQUAL[1].batches[0]
  np.testing.assert_allclose(
    simulation.w, -RATE * linear.slope_by_hand(np.zeros(2), rows), rtol=1e-5
  )


def test_a_recogniser_is_learned():
  settings = population.federated(algorithm=config.AlgorithmName.DITTO)
  losses = population.losses(settings)
  assert losses[-1] < 0.8 * losses[0]
