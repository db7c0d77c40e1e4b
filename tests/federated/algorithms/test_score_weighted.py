"""Aggregation by scores on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import at_server, fedavg, score_weighted

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
CLIENTS = (*linear.UNEQUAL, linear.Data([[((0.0, 1.0), 2)]]), linear.Data([]))
SIZES = np.array([3, 1, 1, 0])


def by_loss(temperature, weighting='utterances'):
  base = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting(weighting))
  score = at_server.loss_score(linear.gradient)
  return score_weighted.score_weighted(base, score, temperature)


def by_hand(w, ids, temperature, sizes):
  """After a round of FedAvg with these weights, in float64."""
  present = [index for index in ids if CLIENTS[index].batches]
  scores, local = [], []
  for index in present:
    rows = [row for batch in CLIENTS[index].batches for row in batch]
    scores.append(linear.loss_by_hand(w, rows))
    local.append(linear.sgd_by_hand(w, CLIENTS[index], RATE))
  factors = np.exp((np.array(scores) - max(scores)) / temperature)
  return np.average(local, axis=0, weights=sizes[present] * factors)


@pytest.mark.parametrize('temperature', [0.7, 50.0, -2.0])
@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_weights_are_exponential_in_the_loss(
  temperature, block_size, num_devices
):
  simulation = linear.Simulation(
    by_loss(temperature),
    SETTINGS,
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  w = np.zeros(2)
  for ids in ([0, 1, 3], [2, 1], [0, 2, 3]):
    simulation.round(ids)
    w = by_hand(w, ids, temperature, SIZES)
    np.testing.assert_allclose(simulation.w, w, rtol=1e-4)


def test_uniform_clients_weigh_by_their_loss_alone():
  simulation = linear.Simulation(by_loss(0.7, 'uniform'), SETTINGS, CLIENTS)
  simulation.round()
  w = by_hand(np.zeros(2), range(4), 0.7, SIZES > 0)
  np.testing.assert_allclose(simulation.w, w, rtol=1e-4)


def test_losses_of_many_temperatures_become_exact_in_a_few_rounds():
  """exp(450 / 0.5) is far from float32, 450 to 449 as an exponent is not."""
  large = (
    linear.Data([[((1e-3, 0.0), 30)]]),
    linear.Data([[((0.0, 1e-3), 30)], [((0.0, 0.0), 30)]]),
    linear.Data([[((1e-3, 1e-3), 29), ((1e-3, 1e-3), 31)]]),
  )
  simulation = linear.Simulation(by_loss(0.5, 'uniform'), SETTINGS, large)
  losses = [450, 450, (29**2 + 31**2) / 4]
  for _ in range(16):
    outcome = simulation.round()
    assert outcome.metrics.num_broken == 0
    assert np.isfinite(simulation.w).all()
  weights = outcome.reports.weight.ravel()
  # Nothing is learnt from such features: losses stay what they were.
  wanted = np.exp((np.array(losses) - 450) / 0.5)
  np.testing.assert_allclose(weights / weights[0], wanted, rtol=2e-2)


def test_a_cohort_with_nothing_to_train_on_changes_nothing():
  simulation = linear.Simulation(by_loss(0.7), SETTINGS, CLIENTS)
  simulation.round([0, 1])
  before = simulation.w, float(simulation.state.memory)
  simulation.round([3])
  np.testing.assert_array_equal(simulation.w, before[0])
  assert float(simulation.state.memory) == before[1]
