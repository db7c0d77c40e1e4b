"""Noise and clipping in the compiled round, against what is claimed of them."""

import functools

import jax
import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import (
  banded_noise,
  channels,
  clipping,
  devices,
  rounds,
)
from fedjax_asr.federated.algorithms import fedavg

# Five clients, the norms of whose updates differ by far; one does nothing.
SCALES = 0.01, 0.1, 0.5, 2.0
CLIENTS = (
  *(linear.Data([[((scale, 2 * scale), 3)]]) for scale in SCALES),
  linear.Data([[((0.0, 0.0), 1)]]),
)
PARAMS = {'first': np.zeros(2, np.float32), 'second': np.zeros(2, np.float32)}
COHORT = 4
KEY = jax.random.key(0)
NUM_DRAWS = 2000
LAYOUTS = [(1, 1), (2, 2)]


def settings(**privacy):
  return config.FederatedConfig(
    num_rounds=4,
    cohort_size=COHORT,
    weighting=config.Weighting.UNIFORM,
    client=config.ClientConfig(learning_rate=0.1),
    privacy=config.PrivacyConfig(clip_norm=0.2, **privacy),
  )


def simulation(federated, layout=(0, 1)):
  block_size, num_devices = layout
  return linear.Simulation(
    fedavg.fedavg(linear.gradient, optax.sgd, federated.weighting),
    federated,
    CLIENTS,
    channels.make(federated),
    block_size,
    num_devices,
    params=jax.tree.map(np.array, PARAMS),
  )


def flat(params):
  return np.concatenate([np.ravel(params[name]) for name in sorted(params)])


def sums(federated, num_draws, layout=(0, 1), num_rounds=1):
  """[draws, rounds, numbers]: what the server steps along, times the cohort.

  Each draw is a run of its own, of one compiled program.
  """
  run = simulation(federated, layout)
  drawn = linear.members(CLIENTS, range(len(CLIENTS)), **run.layout)
  drawn = devices.spread(drawn, run.devices)
  # Donated, so that each draw begins with a copy.
  copied = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 0, state))
  found = []
  for draw in range(num_draws):
    state = copied(run.state)
    values = [state.params]
    for _ in range(num_rounds):
      state = copied(state)
      state, _, _ = run.round_fn(
        state, drawn, rounds.NO_MEMORIES, KEY, None, jax.random.key(draw)
      )
      values.append(copied(state).params)
    found.append(values)
  values = [[flat(each) for each in run] for run in jax.device_get(found)]
  return -COHORT * np.diff(np.array(values), axis=1)


@functools.cache
def by_hand(layered=False):
  """The sum of clipped updates, in float64."""
  total = np.zeros(4)
  for client in CLIENTS:
    # Both parts get the slope of their sum.
    update = 0.1 * linear.slope_by_hand([0.0, 0.0], client.batches[0])
    update = np.tile(update, 2)
    parts = np.split(update, 2) if layered else [update]
    bound = 0.2 / np.sqrt(len(parts))
    total += np.concatenate(
      [
        part * min(1, bound / max(np.linalg.norm(part), 1e-30))
        for part in parts
      ]
    )
  return total


MECHANISMS = {
  'flat': {},
  'per_layer': {'clipping': config.Clipping.PER_LAYER},
  'adaptive': {'clipping': config.Clipping.ADAPTIVE, 'count_noise': 1.0},
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', MECHANISMS)
def test_the_noised_sum_is_distributed_as_claimed(name, layout):
  """Of each number, the sum of clipped updates and the claimed deviation."""
  federated = settings(central_noise_multiplier=1.5, **MECHANISMS[name])
  found = sums(federated, NUM_DRAWS, layout)[:, 0]
  wanted = 1.5 * 0.2
  if name == 'adaptive':
    # A count of deviation 4 takes its share of the guarantee.
    wanted = 0.2 * (1.5**-2 - (2 * 4.0) ** -2) ** -0.5
  error = wanted / np.sqrt(NUM_DRAWS)
  clean = by_hand(layered=name == 'per_layer')
  np.testing.assert_allclose(found.mean(0), clean, atol=4.5 * error)
  np.testing.assert_allclose(
    found.std(0) / wanted, 1.0, atol=4.5 / np.sqrt(2 * NUM_DRAWS)
  )
  correlated = np.corrcoef(found.T) - np.eye(4)
  assert np.abs(correlated).max() < 4.5 / np.sqrt(NUM_DRAWS)


@pytest.mark.parametrize('layout', [(0, 1), (2, 2)])
def test_banded_noise_has_the_covariance_of_its_matrix(layout):
  """Over rounds C^-1 C^-T, of C from its first column; over numbers none."""
  federated = settings(
    central_noise_multiplier=1.5, mechanism=config.Mechanism.BANDED, num_bands=3
  )
  count = 700
  found = sums(federated, count, layout, num_rounds=4)
  noise = found - found.mean(0)
  column = np.zeros(4)
  column[:3] = banded_noise.factor(3, 4)
  matrix = np.array([np.roll(column, shift) for shift in range(4)]).T
  inverse = np.linalg.inv(np.tril(matrix))
  assert np.linalg.norm(column) == pytest.approx(1, abs=1e-6)
  wanted = (1.5 * 0.2) ** 2 * inverse @ inverse.T
  got = np.einsum('drk,dsk->rs', noise, noise) / (count * 4)
  scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
  assert np.abs(got - wanted).max() < 5 * (scale / np.sqrt(count * 4)).max()
  first, last = noise[:, 0], noise[:, 3]
  mixed = np.corrcoef(first[:, 0], last[:, 1])[0, 1]
  assert abs(mixed) < 4.5 / np.sqrt(count)


def test_sums_over_rounds_are_less_noisy_with_bands():
  """What the factorisation is for, and by how much its own error says."""
  plain = sums(settings(central_noise_multiplier=1.5), 300, num_rounds=4)
  banded = sums(
    settings(
      central_noise_multiplier=1.5,
      mechanism=config.Mechanism.BANDED,
      num_bands=4,
    ),
    300,
    num_rounds=4,
  )
  of_sums = [found.sum(1).std(0).mean() for found in (plain, banded)]
  assert of_sums[1] < 0.85 * of_sums[0]


def test_runs_of_different_secrets_share_no_noise():
  federated = settings(central_noise_multiplier=1.5)
  found = sums(federated, 40, num_rounds=3) - by_hand()
  flat_noise = found.reshape(120, 4)
  distances = np.linalg.norm(flat_noise[:, None] - flat_noise[None], axis=-1)
  np.fill_diagonal(distances, np.inf)
  assert distances.min() > 1e-3


@pytest.mark.parametrize('mechanism', list(config.Mechanism))
def test_noise_goes_on_where_it_was_on_other_devices_too(mechanism):
  """Four rounds; or two, saved, and two more on two devices."""
  privacy = {'central_noise_multiplier': 1.5, 'mechanism': mechanism}
  if mechanism is config.Mechanism.BANDED:
    privacy['num_bands'] = 3
  whole = simulation(settings(**privacy))
  secret = jax.random.key(11)
  for _ in range(2):
    whole.round(secret=secret)
  saved = jax.device_get(whole.state)
  resumed = simulation(settings(**privacy), (2, 2))
  sharding = jax.tree.leaves(resumed.state)[0].sharding
  resumed.state = jax.device_put(saved, sharding)
  for _ in range(2):
    whole.round(secret=secret)
    resumed.round(secret=secret)
  np.testing.assert_allclose(
    flat(jax.device_get(whole.state.params)),
    flat(jax.device_get(resumed.state.params)),
    rtol=1e-4,
    atol=1e-6,
  )


def test_the_adaptive_norm_follows_the_quantile():
  """Without noise: to where two of five clients are not clipped."""
  federated = settings(
    clipping=config.Clipping.ADAPTIVE,
    quantile=0.5,
    quantile_learning_rate=0.5,
  )
  run = simulation(federated)
  first = float(run.state.channel_state[0])
  assert first == pytest.approx(0.2)
  norms = sorted(
    np.sqrt(2)
    * np.linalg.norm(0.1 * linear.slope_by_hand([0, 0], c.batches[0]))
    for c in CLIENTS
  )
  short = np.mean([norm <= 0.2 for norm in norms])
  run.round()
  wanted = 0.2 * np.exp(-0.5 * (short - 0.5))
  assert float(run.state.channel_state[0]) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize('share', list(config.LayerBounds))
def test_bounds_of_layers_are_one_norm_together(share):
  params = {
    'a': {'kernel': np.ones((3, 4)), 'bias': np.ones(4)},
    'b': np.ones(9),
  }
  bounds = clipping.layer_bounds(params, 2.0, share)
  assert sum(bound**2 for bound in bounds.values()) == pytest.approx(4.0)
  if share is config.LayerBounds.DIMENSION:
    assert bounds['a'] / bounds['b'] == pytest.approx(4 / 3)
  else:
    assert bounds['a'] == bounds['b']


@pytest.mark.parametrize('name', MECHANISMS)
def test_no_client_moves_the_sum_by_more_than_the_norm(name):
  """Whatever it sends: a hundred times as much, or nothing at all."""
  federated = settings(**MECHANISMS[name])
  everybody = simulation(federated)
  everybody.round()
  without = simulation(federated)
  without.round(client_ids=[0, 1, 2, 4])
  # Without noise the mean is over who came.
  both = flat(jax.device_get(everybody.state.params)) * 5
  rest = flat(jax.device_get(without.state.params)) * 4
  assert np.linalg.norm(both - rest) <= 0.2 * (1 + 1e-5)
