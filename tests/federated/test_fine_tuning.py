"""Clients that train on by themselves, and what they are split into."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import cohort, fine_tuning, local_gradient, partition

RATE, STEPS, SEED = 0.05, 3, 11


@pytest.mark.parametrize(
  ('count', 'fraction', 'num_trained'),
  [(10, 0.5, 5), (10, 0.26, 3), (10, 0.01, 1), (10, 0.99, 9), (2, 0.5, 1)],
)
def test_split_is_in_two_parts_that_are_not_empty(count, fraction, num_trained):
  utterances = 5 + np.arange(count)
  parts = fine_tuning.split(utterances, fraction, SEED, 0)
  assert len(parts.trained) == num_trained
  assert sorted([*parts.trained, *parts.evaluated]) == utterances.tolist()


def test_split_is_a_function_of_seed_and_speaker():
  def parts(seed, index):
    split = fine_tuning.split(np.arange(20), 0.5, seed, index)
    return tuple(split.trained.tolist())

  assert parts(1, 2) == parts(1, 2)
  assert len({parts(1, 2), parts(2, 2), parts(1, 3)}) == 3


def test_each_client_takes_its_own_steps():
  """As a plain loop does, whatever the block and whoever is beside it."""
  acoustic = population.initialised(
    population.acoustic_model(norm=config.Norm.BATCH)
  )
  examples = population.examples(population.uneven())
  settings = fine_tuning.settings(
    population.federated(client={'momentum': 0.5, 'max_utterances': 1}),
    STEPS,
    RATE,
  )
  clients = [
    partition.Client('six', np.arange(21, 27)),
    partition.Client('one', np.arange(1)),
    partition.Client('three', np.arange(3, 6)),
  ]
  params, norm_state = acoustic.init(None)
  found = {
    tuned.client: (tuned.params, tuned.norm_state)
    for tuned in fine_tuning.fine_tuned(
      acoustic,
      params,
      norm_state,
      clients,
      examples,
      settings,
      config.AugmentConfig(),
      SEED,
    )
  }
  assert sorted(found) == [0, 1, 2]
  gradient = jax.jit(
    local_gradient.local_gradient(acoustic, config.AugmentConfig())
  )
  for index in range(3):
    mine, state = params, norm_state
    for positions in cohort.client_steps(
      clients, index, examples.num_frames, settings.client, SEED, 0
    ):
      batch = cohort.Batch(*examples.batch(positions, 24, 8))
      slope, (moved, totals) = gradient(mine, state, batch, jax.random.key(0))
      if totals.num_utterances > 0:
        state = moved
        mine = jax.tree.map(lambda w, g: w - RATE * g, mine, slope)
    assert population.distance(mine, params) > 0.01
    assert population.distance(found[index][0], mine) < 1e-4
    assert population.distance(found[index][1], state) < 1e-4
