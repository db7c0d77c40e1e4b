"""FedProx on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import fedavg, fedprox

RATE = 0.1
MU = 0.7
SETTINGS = config.FederatedConfig(
  num_rounds=3, client=config.ClientConfig(learning_rate=RATE)
)
UTTERANCES = config.Weighting.UTTERANCES


@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_each_step_is_pulled_back_to_the_server(block_size, num_devices):
  method = fedprox.fedprox(linear.gradient, optax.sgd, UTTERANCES, MU)
  simulation = linear.Simulation(
    method, SETTINGS, block_size=block_size, num_devices=num_devices
  )
  w = np.zeros(2)
  for _ in range(3):
    simulation.round()

    def pulled(slope, mine, w=w):
      return slope + MU * (mine - w)

    local = [
      linear.sgd_by_hand(w, client, RATE, pulled) for client in linear.UNEQUAL
    ]
    w = np.average(local, axis=0, weights=[3, 1])
    np.testing.assert_allclose(simulation.w, w, rtol=1e-5)


def test_without_a_pull_it_is_fedavg():
  prox = linear.Simulation(
    fedprox.fedprox(linear.gradient, optax.adam, UTTERANCES, 0.0), SETTINGS
  )
  plain = linear.Simulation(
    fedavg.fedavg(linear.gradient, optax.adam, UTTERANCES), SETTINGS
  )
  for _ in range(2):
    prox.round()
    plain.round()
  np.testing.assert_array_equal(prox.w, plain.w)
