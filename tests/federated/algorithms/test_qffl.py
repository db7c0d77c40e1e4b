"""q-FedAvg on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import fedavg, qffl

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=3, client=config.ClientConfig(learning_rate=RATE)
)
CLIENTS = (*linear.UNEQUAL, linear.Data([]))


@pytest.mark.parametrize('q', [0.0, 0.5, 2.0])
@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_the_step_is_that_of_the_paper(q, block_size, num_devices):
  simulation = linear.Simulation(
    qffl.qffl(linear.gradient, optax.sgd, q),
    SETTINGS,
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  w, lipschitz = np.zeros(2), 1 / RATE
  for _ in range(3):
    simulation.round()
    sum_of_steps, sum_of_h = np.zeros(2), 0.0
    for client in linear.UNEQUAL:
      everything = [row for rows in client.batches for row in rows]
      loss = linear.loss_by_hand(w, everything)
      step = lipschitz * (w - linear.sgd_by_hand(w, client, RATE))
      sum_of_steps += loss**q * step
      sum_of_h += q * loss ** (q - 1) * (step @ step) + lipschitz * loss**q
    w = w - sum_of_steps / sum_of_h
    np.testing.assert_allclose(simulation.w, w, rtol=1e-4)


def test_without_a_power_it_is_fedavg_of_equal_clients():
  fair = linear.Simulation(
    qffl.qffl(linear.gradient, optax.sgd, 0.0), SETTINGS, CLIENTS
  )
  plain = linear.Simulation(
    fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UNIFORM),
    SETTINGS,
    CLIENTS,
  )
  for _ in range(3):
    fair.round()
    plain.round()
    np.testing.assert_allclose(fair.w, plain.w, rtol=1e-5)


def test_a_high_power_of_a_recognisers_loss_is_finite():
  """Of two clients it follows the one of larger loss, 450 and 288 nats."""
  clients = (
    linear.Data([[((1.0, 0.0), 30)]]),
    linear.Data([[((0.0, 1.0), 24)]]),
  )
  simulation = linear.Simulation(
    qffl.qffl(linear.gradient, optax.sgd, 15.0), SETTINGS, clients
  )
  outcome = simulation.round()
  assert outcome.metrics.num_broken == 0
  assert simulation.w[0] > 500 * simulation.w[1] > 0
