"""FedNova on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import clipping
from fedjax_asr.federated.algorithms import fedavg, fednova

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=3, client=config.ClientConfig(learning_rate=RATE)
)
UTTERANCES = config.Weighting.UTTERANCES
# One more with three steps.
CLIENTS = (*linear.UNEQUAL, linear.Data([[((0.0, 1.0), 2)]] * 3))


def method(momentum):
  return fednova.fednova(
    linear.gradient,
    lambda rate: optax.sgd(rate, momentum=momentum or None),
    UTTERANCES,
    momentum,
  )


@pytest.mark.parametrize('momentum', [0.0, 0.8])
@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_the_mean_step_is_gone_as_often_as_in_the_mean(
  momentum, block_size, num_devices
):
  simulation = linear.Simulation(
    method(momentum),
    SETTINGS,
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  p = np.array([3, 1, 3]) / 7
  w = np.zeros(2)
  for _ in range(3):
    simulation.round()
    directions, lengths = [], []
    for client in CLIENTS:
      mine, trace, gradients = w.copy(), np.zeros(2), []
      for rows in client.batches:
        gradients.append(linear.slope_by_hand(mine, rows))
        trace = gradients[-1] + momentum * trace
        mine -= RATE * trace
      steps = len(gradients)
      # How often each gradient is in the sum of all steps.
      a = [
        sum(momentum**later for later in range(steps - first))
        for first in range(steps)
      ]
      directions.append(a @ np.array(gradients) / np.sum(a))
      lengths.append(np.sum(a))
    w = w - (p @ lengths) * RATE * (p @ np.array(directions))
    np.testing.assert_allclose(simulation.w, w, rtol=1e-5)


def test_with_equally_many_steps_it_is_fedavg():
  clients = (linear.UNEQUAL[0], linear.Data([[((0.0, 1.0), 2)]] * 2))
  nova = linear.Simulation(method(0.0), SETTINGS, clients)
  plain = linear.Simulation(
    fedavg.fedavg(linear.gradient, optax.sgd, UTTERANCES), SETTINGS, clients
  )
  for _ in range(3):
    nova.round()
    plain.round()
    np.testing.assert_allclose(nova.w, plain.w, rtol=1e-5)


def test_a_clipping_norm_is_of_one_step():
  clip = 1e-3
  simulation = linear.Simulation(
    method(0.0), SETTINGS, CLIENTS, clipping.flat(clip)
  )
  simulation.round([2])
  assert np.linalg.norm(simulation.w) == pytest.approx(3 * clip, rel=1e-4)
