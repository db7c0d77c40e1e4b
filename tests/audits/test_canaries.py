"""What canaries prove of an honest mechanism, and of three that are not."""

import functools
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.audits import canary_scores, empirical_epsilon, planted_bugs
from fedjax_asr.federated import accountant, canary, devices, rounds
from fedjax_asr.federated.algorithms import fedavg

sys.path.append(str(Path(__file__).parents[1] / 'federated'))
import linear

# Two layers, of which the first by name is the smaller one.
WIDTH = 3000
PARAMS = {'first': np.zeros(1000), 'second': np.zeros(WIDTH)}
NUM_ROUNDS = 30
NUM_CANARIES = 120
RATE = 0.25
# After 30 rounds less than three can be promised.
NOISE = 5.0
DELTA = 1e-5


def settings(noise=NOISE, **privacy):
  return config.FederatedConfig(
    num_rounds=NUM_ROUNDS,
    cohort_size=4,
    sampling=config.Sampling.POISSON,
    weighting=config.Weighting.UNIFORM,
    privacy=config.PrivacyConfig(
      clip_norm=0.1, central_noise_multiplier=noise, delta=DELTA, **privacy
    ),
  )


def gradient(params, norm_state, batch, key):
  """Of clients that pull every number their own way, by what they hold."""
  slope, kept = linear.gradient(
    {'w': params['second'][:2]}, norm_state, batch, key
  )
  pull = slope['w'].sum()
  return jax.tree.map(lambda leaf: pull + 0 * leaf, params), kept


@functools.cache
def proven(bug, noise=NOISE, **privacy):
  """Clopper and Pearson's bound by each score, of a whole training."""
  federated = settings(noise, **privacy)
  canaries = canary.Canaries(
    num_canaries=2 * NUM_CANARIES + 60,
    num_in=NUM_CANARIES,
    norm=1.0,
    rate=RATE,
    period=1,
    key=jax.random.key(3),
  )
  line = planted_bugs.channel_with(federated, bug)
  simulation = linear.Simulation(
    fedavg.fedavg(gradient, optax.sgd, federated.weighting),
    federated,
    line=line,
    params=jax.tree.map(np.float32, PARAMS),
  )
  round_fn = rounds.of_algorithm(
    fedavg.fedavg(gradient, optax.sgd, federated.weighting),
    line,
    federated,
    linear.BUCKETS,
    simulation.devices,
    canaries,
  )
  drawn = devices.spread(
    linear.members(linear.UNEQUAL, [0, 1]), simulation.devices
  )
  state, key, along = simulation.state, jax.random.key(0), []
  for _ in range(NUM_ROUNDS):
    state, _, outcome = round_fn(
      state, drawn, rounds.NO_MEMORIES, key, None, jax.random.key(9)
    )
    along.append(np.asarray(outcome.canaries, float))
  assert round_fn._cache_size() == 1
  sizes = np.array([1000, WIDTH])
  sent = min(1.0, 0.1) * np.sqrt(sizes / sizes.sum())
  scores = canary_scores.scores(
    np.array(along),
    np.arange(2 * NUM_CANARIES, 2 * NUM_CANARIES + 60),
    sent,
    RATE,
  )
  return {
    name: empirical_epsilon.measured(
      values[:NUM_CANARIES],
      values[NUM_CANARIES : 2 * NUM_CANARIES],
      DELTA,
      1 - 0.05 / len(scores),
    )
    for name, values in scores.items()
  }


def promised(noise=NOISE):
  mechanism = accountant.Mechanism(
    noise_multiplier=noise,
    rate=RATE,
    period=1,
    group_size=100,
    places=100,
    overflow=0.0,
  )
  found = accountant.Accountant(mechanism, DELTA).after(NUM_ROUNDS)
  return found.epsilon_pld


def best(found):
  return max(
    max(each['clopper_pearson'], each['one_run']) for each in found.values()
  )


def test_what_an_honest_run_proves_is_under_its_promise():
  assert promised() < 2
  assert best(proven(config.PlantedBug.NONE)) < promised()


@pytest.mark.parametrize(
  'bug', [bug for bug in config.PlantedBug if bug != config.PlantedBug.NONE]
)
def test_a_planted_bug_is_found(bug):
  assert best(proven(bug)) > promised()


def test_without_noise_canaries_are_told_apart():
  found = proven(config.PlantedBug.NONE, noise=0.0)
  # As much as so many canaries can prove.
  assert best(found) > 2.5
  assert found['likelihood']['auroc'] > 0.999


def test_more_noise_proves_less():
  aurocs = [
    proven(config.PlantedBug.NONE, noise=noise)['likelihood']['auroc']
    for noise in (0.3, 1.0, NOISE)
  ]
  assert aurocs == sorted(aurocs, reverse=True)
  assert aurocs[0] > 0.95
  assert aurocs[-1] < 0.75


def test_bounds_are_those_that_the_library_was_published_with():
  """Scores of N(1, 1) against N(0, 1), whose epsilon is 4.377."""
  rng = np.random.default_rng(0)
  found = empirical_epsilon.measured(
    rng.normal(1, 1, 2000), rng.normal(0, 1, 2000), DELTA, 0.95
  )
  assert 0.8 < found['one_run'] < 1.7
  assert 1.0 < found['clopper_pearson'] < 2.2
  assert 2.5 < found['gdp'] < 4.377
  told = empirical_epsilon.gaussian(
    rng.normal(1, 1, 2000), rng.normal(0, 1, 2000), DELTA, 0.95, seed=0
  )
  assert told['low'] < 4.377 < told['high']
  assert told['epsilon'] == pytest.approx(4.377, rel=0.1)


@pytest.mark.parametrize(
  ('mu', 'epsilon'), [(1.0, 4.377), (2.0, 9.997), (0.0, 0.0), (-1.0, 0.0)]
)
def test_epsilon_of_a_gaussian_mechanism(mu, epsilon):
  found = empirical_epsilon.epsilon_of_mu(mu, 1e-5)
  assert found == pytest.approx(epsilon, abs=1e-3)


def test_directions_are_signs_of_equal_weight_and_nobody_elses():
  canaries = canary.Canaries(6, 3, 2.0, 0.5, 1, jax.random.key(0))
  like = {'a': np.zeros((33, 7), np.float32), 'b': np.zeros(500, np.float32)}
  updates = [canaries.update(like, index) for index in range(6)]
  flat = np.array(
    [np.concatenate([each['a'].ravel(), each['b']]) for each in updates]
  )
  np.testing.assert_allclose(np.abs(flat), 2 / np.sqrt(731), rtol=1e-6)
  cosines = flat @ flat.T / 4 - np.eye(6)
  assert np.abs(cosines).max() < 5 / np.sqrt(731)
  along = np.asarray(jax.jit(canaries.projections)(updates[2]))
  np.testing.assert_allclose(
    along[2], 2 * np.sqrt(np.array([231, 500]) / 731), rtol=1e-5
  )
  assert np.abs(along[[0, 1, 3, 4, 5]]).max() < 5 * 2 / np.sqrt(731)


def test_canaries_take_turns_as_clients_do():
  canaries = canary.Canaries(40, 30, 1.0, 0.9, 4, jax.random.key(1))
  there = np.array([canaries.present(index) for index in range(40)])
  assert not there[:, 30:].any()
  for canary_rounds in there[:, :30].T:
    (present,) = np.nonzero(canary_rounds)
    assert (np.diff(present) % 4 == 0).all()
  assert there[:, :30].mean() == pytest.approx(0.9 / 4, abs=0.02)
