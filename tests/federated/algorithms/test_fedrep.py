"""FedRep on linear clients, by hand."""

import functools

import jax.numpy as jnp
import linear
import numpy as np
import optax
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import fedavg, fedrep
from fedjax_asr.models import model

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
LAYOUTS = [(0, 1), (1, 1), (1, 2), (4, 1)]
DRAWN = ([0], [0, 1], [1], [0, 1])


def simulation_of(optimizer, head_steps=1, **layout):
  base = functools.partial(
    fedavg.fedavg, linear.gradient, optimizer, config.Weighting.UTTERANCES
  )
  return linear.Simulation(
    fedrep.fedrep(base, model.is_output_layer, head_steps),
    SETTINGS,
    params={'body': jnp.zeros(2), 'output': {'kernel': jnp.zeros(2)}},
    **layout,
  )


@pytest.mark.parametrize(('block_size', 'num_devices'), LAYOUTS)
def test_head_steps_come_before_body_steps(block_size, num_devices):
  simulation = simulation_of(
    optax.sgd, block_size=block_size, num_devices=num_devices
  )
  body, head = np.zeros(2), np.zeros(2)
  own = [np.zeros(2), np.zeros(2)]
  sizes = [sum(map(len, client.batches)) for client in linear.UNEQUAL]
  for drawn in DRAWN:
    simulation.round(drawn)
    local = []
    for index in drawn:
      mine = body.copy()
      first, *others = linear.UNEQUAL[index].batches
      own[index] = own[index] - RATE * linear.slope_by_hand(
        mine + own[index], first
      )
      for rows in others:
        mine = mine - RATE * linear.slope_by_hand(mine + own[index], rows)
      local.append((mine, own[index]))
    weights = [sizes[index] for index in drawn]
    body, head = np.average(local, axis=0, weights=weights)
    params = simulation.state.params
    np.testing.assert_allclose(params['body'], body, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(params['output']['kernel'], head, rtol=1e-5)
    for kept, mine in zip(simulation.memories, own, strict=True):
      params = kept.algorithm.params
      np.testing.assert_allclose(params['output']['kernel'], mine, rtol=1e-5)


def test_momentum_does_not_carry_the_head_on():
  simulation = simulation_of(
    functools.partial(optax.sgd, momentum=0.9), head_steps=1
  )
  simulation.round([0])
  rows = linear.UNEQUAL[0].batches[0]
  np.testing.assert_allclose(
    simulation.memories[0].algorithm.params['output']['kernel'],
    -RATE * linear.slope_by_hand(np.zeros(2), rows),
    rtol=1e-5,
  )


def test_a_client_of_few_steps_leaves_the_body():
  simulation = simulation_of(optax.sgd, head_steps=2)
  simulation.round([1])
  np.testing.assert_array_equal(simulation.state.params['body'], 0)
  assert np.all(simulation.memories[1].algorithm.params['output']['kernel'])


def test_a_recogniser_is_learned():
  settings = population.federated(algorithm=config.AlgorithmName.FEDREP)
  losses = population.losses(settings)
  assert losses[-1] < 0.8 * losses[0]
