"""Shadows of one program are the trainings that they would be alone."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.audits import losses, membership, roc, trainings
from fedjax_asr.federated import cohort, server

SECRET_SEED = 11
NOISE = config.PrivacyConfig(
  clip_norm=1.0, local_noise_multiplier=0.05, central_noise_multiplier=0.05
)


def _repeated(simulation):
  return trainings.Trainings(
    simulation.acoustic,
    simulation.settings,
    config.AugmentConfig(),
    simulation.clients,
    simulation.examples,
    population.SEED,
  )


def _randomness(count):
  keys = jax.random.split(jax.random.key(SECRET_SEED), count)
  return trainings.Randomness(keys, keys)


def _silent(done, total):
  del done, total


def _alone(simulation, is_in, key):
  """Two rounds from cohorts that never had the others."""
  state = simulation.start()
  for index in range(2):
    drawn = simulation.draw(index)
    is_had = (drawn.utterances >= 0) & is_in[drawn.utterances]
    drawn = drawn._replace(utterances=np.where(is_had, drawn.utterances, -1))
    members = cohort.assemble(drawn, simulation.examples, simulation.layout)
    state, _ = simulation.step(state, members, key)
  return jax.device_get(server.Values(state.params, state.norm_state))


def test_a_shadow_is_the_training_that_it_would_be_alone():
  """Dropout, batch norm, clipping and noise included; in groups of two."""
  simulation = population.Simulation(
    population.acoustic_model(norm=config.Norm.BATCH, dropout=0.3),
    population.federated(privacy=NOISE),
  )
  is_in = ~membership.left_out(
    3, len(simulation.examples), np.random.default_rng(0)
  )
  randomness = _randomness(3)
  repeated = _repeated(simulation)
  found = repeated.train(
    jax.device_get(simulation.start()), is_in, randomness, 2, 2, _silent
  )
  assert repeated.round_fn._cache_size() == 1
  for index in range(3):
    one = jax.tree.map(lambda leaf, index=index: leaf[index], found)
    alone = _alone(simulation, is_in[index], randomness.keys[index])
    scale = population.norm(alone)
    assert population.distance(one, alone) < 1e-5 * scale
  first, second = (
    jax.tree.map(lambda leaf, index=index: leaf[index], found)
    for index in (0, 1)
  )
  assert population.distance(first, second) > 1e-2 * population.norm(first)


def test_what_was_used_is_counted_in_steps():
  simulation = population.plain()
  counts = _repeated(simulation).times_used(2)
  used = np.concatenate(
    [simulation.draw(index).utterances.ravel() for index in range(2)]
  )
  np.testing.assert_array_equal(
    counts, np.bincount(used[used >= 0], minlength=len(simulation.examples))
  )


def test_clients_that_keep_values_are_refused():
  simulation = population.Simulation(
    population.acoustic_model(),
    population.federated(algorithm=config.AlgorithmName.SCAFFOLD),
  )
  with pytest.raises(trainings.TrainingError, match='scaffold'):
    _repeated(simulation)


@pytest.fixture(scope='module')
def overfitted():
  """(losses by nine models, losses of an untrained one, who is in each)."""
  spoken = [
    population.Spoken(f's{index % 6}', text, 22)
    for index, text in enumerate(
      [a + b + c for a in 'abc' for b in 'def' for c in 'ghij']
    )
  ]
  simulation = population.Simulation(
    population.acoustic_model(recurrent_size=24),
    population.federated(
      num_rounds=60,
      cohort_size=6,
      block_size=6,
      client={'batch_size': 2, 'learning_rate': 0.1},
      server={
        'optimizer': config.ServerOptimizer.ADAM,
        'learning_rate': 0.03,
      },
    ),
    training_set=population.examples(spoken),
  )
  is_in = ~membership.left_out(9, len(spoken), np.random.default_rng(4))
  start = jax.device_get(simulation.start())
  values = _repeated(simulation).train(
    start, is_in, _randomness(9), 60, 0, _silent
  )
  of = losses.Losses(simulation.acoustic, 16)
  untrained = jax.tree.map(
    lambda leaf: np.asarray(leaf)[None],
    server.Values(start.params, start.norm_state),
  )
  return (
    of(values, simulation.examples, _silent),
    of(untrained, simulation.examples, _silent)[0],
    is_in,
  )


def test_members_of_an_overfitted_model_are_told(overfitted):
  """The first model is the target; it was trained on half of the speech."""
  found, untrained, is_in = overfitted
  target, is_member = found[0], is_in[0]
  (low, _), _ = roc.auc_interval(-target[is_member], -target[~is_member], 0.95)
  assert low > 0.6
  scaled = membership.scaled(found, np.full(found.shape[1], 3))
  scores = membership.lira(scaled[0], scaled[1:], ~is_in[1:])
  (low, _), _ = roc.auc_interval(scores[is_member], scores[~is_member], 0.95)
  assert low > 0.6
  (low, high), _ = roc.auc_interval(
    -untrained[is_member], -untrained[~is_member], 0.95
  )
  assert low < 0.5 < high
