"""Every algorithm trains a small recogniser, through the run's own round."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import algorithms, rounds

NUM_ROUNDS = 4
MOMENTUM = {
  'optimizer': config.ClientOptimizer.MOMENTUM,
  'learning_rate': 0.05,
  'momentum': 0.5,
}
FIELDS = {
  'fedprox': {'fedprox': config.FedProxConfig(mu=0.1)},
  'scaffold': {},
  'fednova': {},
  'mimelite': {'client': MOMENTUM},
  'qffl': {'weighting': config.Weighting.UNIFORM},
  'agnostic': {'weighting': config.Weighting.UNIFORM},
  'loss_weighted': {},
  'wer_weighted': {},
  'feddyn': {'weighting': config.Weighting.UNIFORM},
}


def losses(settings) -> list[float]:
  """Training loss of each round; every client is in each of them."""
  acoustic = population.initialised(population.acoustic_model())
  simulation = population.Simulation(acoustic, settings)
  state = simulation.start()
  method = algorithms.make(
    acoustic, settings, config.AugmentConfig(), len(simulation.clients)
  )
  memory = method.init_client(state.params, state.norm_state)
  places = simulation.members(0).client_ids.shape
  memories = rounds.ClientMemory(
    jax.tree.map(
      lambda leaf: np.broadcast_to(leaf, (*places, *leaf.shape)), memory
    ),
    (),
  )
  seen = []
  members = simulation.members(0)
  for _ in range(NUM_ROUNDS):
    state, memories, outcome = simulation.full(state, members, memories)
    seen.append(float(outcome.metrics.loss))
  return seen


@pytest.mark.parametrize('name', FIELDS)
def test_a_recogniser_is_trained(name):
  fields = dict(FIELDS[name])
  # Two steps compile in half the time of all.
  client = {'learning_rate': 0.02, 'local_steps': 2} | fields.pop('client', {})
  settings = population.federated(
    client,
    algorithm=config.AlgorithmName(name),
    cohort_size=7,
    block_size=7,
    **fields,
  )
  first, *_, last = losses(settings)
  assert last < 0.9 * first
