"""FedAvg and FedSGD on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import fedavg, fedsgd

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=3, client=config.ClientConfig(learning_rate=RATE)
)
LAYOUTS = [(0, 1), (1, 1), (1, 2), (4, 1)]


def sizes():
  return [
    sum(len(rows) for rows in client.batches) for client in linear.UNEQUAL
  ]


@pytest.mark.parametrize(('block_size', 'num_devices'), LAYOUTS)
def test_local_sgd_is_averaged_by_utterances(block_size, num_devices):
  method = fedavg.fedavg(
    linear.gradient, optax.sgd, config.Weighting.UTTERANCES
  )
  simulation = linear.Simulation(
    method, SETTINGS, block_size=block_size, num_devices=num_devices
  )
  w = np.zeros(2)
  for _ in range(3):
    simulation.round()
    local = []
    for client in linear.UNEQUAL:
      mine = w.copy()
      for rows in client.batches:
        mine -= RATE * linear.slope_by_hand(mine, rows)
      local.append(mine)
    w = np.average(local, axis=0, weights=sizes())
    np.testing.assert_allclose(simulation.w, w, rtol=1e-5)


@pytest.mark.parametrize(('block_size', 'num_devices'), LAYOUTS)
def test_fedsgd_is_the_gradient_of_everybodys_speech(block_size, num_devices):
  method = fedsgd.fedsgd(linear.gradient, config.Weighting.UTTERANCES, 0.0)
  simulation = linear.Simulation(
    method, SETTINGS, block_size=block_size, num_devices=num_devices
  )
  rows = [
    row
    for client in linear.UNEQUAL
    for batch in client.batches
    for row in batch
  ]
  w = np.zeros(2)
  for _ in range(3):
    simulation.round()
    # The server's rate is 1.
    w -= linear.slope_by_hand(w, rows)
    np.testing.assert_allclose(simulation.w, w, rtol=1e-5)


def test_fedsgd_clips_what_it_sends():
  method = fedsgd.fedsgd(linear.gradient, config.Weighting.UNIFORM, 0.5)
  simulation = linear.Simulation(method, SETTINGS)
  outcome = simulation.round([0])
  assert np.linalg.norm(simulation.w) == pytest.approx(0.5, rel=1e-5)
  assert outcome.reports.delta_norm.ravel()[0] == pytest.approx(0.5, rel=1e-5)


def test_weights_by_steps_are_the_steps_that_were_done():
  method = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.STEPS)
  simulation = linear.Simulation(method, SETTINGS)
  outcome = simulation.round()
  assert outcome.reports.weight.ravel().tolist() == [2.0, 1.0]
  local = []
  for client in linear.UNEQUAL:
    mine = np.zeros(2)
    for rows in client.batches:
      mine -= RATE * linear.slope_by_hand(mine, rows)
    local.append(mine)
  wanted = np.average(local, axis=0, weights=[2, 1])
  np.testing.assert_allclose(simulation.w, wanted, rtol=1e-5)
