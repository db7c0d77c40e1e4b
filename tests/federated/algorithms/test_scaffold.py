"""SCAFFOLD on linear clients, by hand."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import scaffold

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
# The last has nothing to train on; it counts in the population.
CLIENTS = (*linear.UNEQUAL, linear.Data([]))
COHORTS = [0, 1, 2], [1], [0, 2], [1, 0]
GRADIENT, STEPS = config.ControlVariate


def make(variate, weighting='uniform'):
  return scaffold.scaffold(
    linear.gradient, optax.sgd, config.Weighting(weighting), variate, 3
  )


class ByHand:
  """Algorithm 1, its symbols x, c and c_i, with unequal numbers of steps."""

  def __init__(self, variate):
    self.variate = variate
    self.x, self.c, self.own = np.zeros(2), np.zeros(2), np.zeros((3, 2))

  def round(self, ids, weights):
    local, changes = [], []
    for index in ids:
      client = CLIENTS[index]
      y, own = self.x.copy(), self.own[index].copy()
      for rows in client.batches:
        y -= RATE * (linear.slope_by_hand(y, rows) - own + self.c)
      if not client.batches:
        continue
      if self.variate is STEPS:
        after = own - self.c + (self.x - y) / (len(client.batches) * RATE)
      else:
        everything = [row for rows in client.batches for row in rows]
        after = linear.slope_by_hand(self.x, everything)
      local.append((y, weights[index]))
      changes.append(after - own)
      self.own[index] = after
    self.x = np.average(
      [y for y, _ in local], axis=0, weights=[w for _, w in local]
    )
    self.c = self.c + np.sum(changes, axis=0) / 3


@pytest.mark.parametrize('variate', [STEPS, GRADIENT])
@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_steps_and_variates_are_those_of_the_paper(
  variate, block_size, num_devices
):
  simulation = linear.Simulation(
    make(variate),
    SETTINGS,
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  wanted = ByHand(variate)
  for ids in COHORTS:
    simulation.round(ids)
    wanted.round(ids, weights=[1, 1, 1])
    np.testing.assert_allclose(simulation.w, wanted.x, rtol=1e-5)
    c = simulation.state.memory['w']
    np.testing.assert_allclose(c, wanted.c, rtol=1e-4)
    own = [memory.algorithm['w'] for memory in simulation.memories]
    np.testing.assert_allclose(own, wanted.own, rtol=1e-4, atol=1e-6)
    # What Algorithm 1 keeps true in every round.
    np.testing.assert_allclose(c, np.mean(own, axis=0), atol=1e-6)


def test_weights_are_of_the_update_and_not_of_the_variates():
  simulation = linear.Simulation(make(STEPS, 'utterances'), SETTINGS, CLIENTS)
  wanted = ByHand(STEPS)
  for ids in COHORTS:
    simulation.round(ids)
    wanted.round(ids, weights=[3, 1, 0])
  np.testing.assert_allclose(simulation.w, wanted.x, rtol=1e-5)
  np.testing.assert_allclose(simulation.state.memory['w'], wanted.c, rtol=1e-4)


def test_a_client_whose_message_is_not_finite_keeps_its_variate():
  broken = linear.Data([[((np.inf, 0.0), 1)]])
  simulation = linear.Simulation(
    make(STEPS), SETTINGS, (linear.UNEQUAL[0], broken, linear.UNEQUAL[1])
  )
  outcome = simulation.round()
  assert outcome.metrics.num_broken == 1
  np.testing.assert_array_equal(simulation.memories[1].algorithm['w'], 0)
  assert np.isfinite(simulation.state.memory['w']).all()
