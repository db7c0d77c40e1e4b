"""Robust aggregation, against NumPy and against hostile clients."""

import functools

import hostile
import jax
import jax.numpy as jnp
import linear
import numpy as np
import optax
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import algorithm, algorithms, channel, robust, rounds
from fedjax_asr.federated.algorithms import fedavg

MEDIAN = {'method': config.Aggregator.MEDIAN}
TRIMMED = {
  'method': config.Aggregator.TRIMMED_MEAN,
  'trimmed_fraction': 0.3,
}
KRUM = {'method': config.Aggregator.KRUM, 'num_byzantine': 2}
MULTI_KRUM = KRUM | {'num_selected': 3}
METHODS = {
  'median': MEDIAN,
  'trimmed_mean': TRIMMED,
  'krum': KRUM,
  'multi_krum': MULTI_KRUM,
}
# Devices, blocks, clients of a block.
AXES = 2, 3, 4


def numpy_median(vectors, settings):
  del settings
  return np.median(vectors, axis=0)


def numpy_trimmed(vectors, settings):
  count = int(settings.trimmed_fraction * len(vectors))
  rows = np.sort(vectors, axis=0)
  return rows[count : len(rows) - count].mean(0)


def numpy_krum(vectors, settings):
  scores = []
  for i, mine in enumerate(vectors):
    others = [((mine - x) ** 2).sum() for j, x in enumerate(vectors) if j != i]
    near = len(vectors) - settings.num_byzantine - 2
    scores.append(sum(sorted(others)[:near]))
  best = sorted(range(len(vectors)), key=scores.__getitem__)
  return np.mean([vectors[i] for i in best[: settings.num_selected]], axis=0)


NUMPY = {
  config.Aggregator.MEDIAN: numpy_median,
  config.Aggregator.TRIMMED_MEAN: numpy_trimmed,
  config.Aggregator.KRUM: numpy_krum,
}


def random_messages(seed, num_out):
  """Messages, client ids, and [clients, numbers] of those that count."""
  rng = np.random.default_rng(seed)
  places = int(np.prod(AXES))
  update = {
    'a': rng.normal(size=(*AXES, 3, 2)).astype(np.float32),
    'b': rng.normal(size=AXES).astype(np.float32),
  }
  is_out = np.zeros(places, bool)
  is_out[rng.permutation(places)[:num_out]] = True
  out = is_out.reshape(AXES)
  # Whatever stands there may change nothing; weights count as one.
  update['a'][out] = 1e6
  update['b'][out] = 0.0
  messages = algorithm.Message(
    update=algorithm.Update(update, {}),
    extra=(),
    weight=jnp.where(out, 0.0, rng.uniform(0.5, 9.0, AXES)),
  )
  ids = rng.permutation(places).reshape(AXES)
  flat = np.concatenate(
    [update['a'].reshape(places, -1), update['b'].reshape(places, 1)], axis=1
  )
  return messages, jnp.asarray(np.where(out, -1, ids)), flat[~is_out]


@pytest.mark.parametrize('name', METHODS)
@pytest.mark.parametrize('num_out', [0, 5, 16, 17])
def test_rules_are_those_of_numpy_over_clients_that_count(name, num_out):
  settings = config.AggregationConfig(**METHODS[name])
  aggregate = jax.jit(robust.make(settings))
  for seed in range(10):
    messages, ids, vectors = random_messages(seed, num_out)
    sums = aggregate(messages, ids)
    wanted = NUMPY[settings.method](np.float64(vectors), settings)
    params = sums.update.params
    got = np.append(np.ravel(params['a']), params['b'])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    assert sums.weight == 1


def test_as_many_are_trimmed_as_the_fraction_says():
  # 0.29 * 100 is 28.999999999999996.
  values = jnp.arange(100.0) ** 2
  mean, _ = robust.trimmed_mean(0.29)(
    {'w': values}, jnp.arange(100), jnp.ones(100, bool)
  )
  assert mean['w'] == pytest.approx(np.mean(np.arange(29, 71) ** 2), rel=1e-6)


@pytest.mark.parametrize('name', METHODS)
@pytest.mark.parametrize('num_left', [0, 1, 6])
def test_too_few_clients_leave_the_model_as_it_is(name, num_left):
  messages, ids, _ = random_messages(0, 24 - num_left)
  aggregate = robust.make(config.AggregationConfig(**METHODS[name]))
  sums = jax.jit(aggregate)(messages, ids)
  is_krum = METHODS[name]['method'] is config.Aggregator.KRUM
  is_empty = num_left == 0 or is_krum
  assert sums.weight == (0 if is_empty else 1)
  assert (population.norm(sums.update) == 0) == is_empty


def test_equal_scores_are_the_lower_clients_whatever_the_order():
  # Of three clients with f = 0 each has one neighbour: 0 and 1 score alike.
  values = np.array([0.0, 1.0, 5.0], np.float32)
  for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
    update, _ = robust.krum(0, 1)(
      {'w': jnp.asarray(values[order])},
      jnp.asarray(order),
      jnp.ones(3, bool),
    )
    assert update['w'] == 0.0


def test_never_as_many_are_selected_as_include_one_that_lies():
  values = jnp.array([0.0, 1.0, 1000.0, 2.0, 3.0])
  update, _ = robust.krum(1, 5)({'w': values}, jnp.arange(5), jnp.ones(5, bool))
  assert update['w'] == 1.5


def test_a_message_of_more_than_an_update_is_refused():
  messages, ids, _ = random_messages(0, 0)
  with pytest.raises(ValueError, match='extra'):
    robust.make(config.AggregationConfig(**MEDIAN))(
      messages._replace(extra=jnp.zeros(AXES)), ids
    )


# Seven clients that agree on w = (1, -2).
AGREEING = [
  linear.Data(
    [
      [((float(a), float(b)), a - 2 * b), ((float(b), float(-a)), b + 2 * a)],
    ]
  )
  for a, b in [(1, 0), (1, 1), (2, 1), (0, 1), (1, -1), (2, 0), (1, 2)]
]
TRUTH = np.array([1.0, -2.0])


def simulation(
  garbage,
  clients=(1, 5),
  aggregation=None,
  device_map=config.DeviceMap.SHARD_MAP,
  **layout,
):
  method = fedavg.fedavg(
    linear.gradient,
    lambda rate: optax.sgd(0.35),
    config.Weighting.UNIFORM,
  )
  federated = config.FederatedConfig(
    num_rounds=30,
    weighting=config.Weighting.UNIFORM,
    aggregation=config.AggregationConfig(**(aggregation or {})),
    device_map=device_map,
  )
  method = hostile.hostile(method, clients, garbage)
  return linear.Simulation(method, federated, AGREEING, **layout)


def learned(simulated, num_rounds=30):
  """How far from the truth it ends."""
  for _ in range(num_rounds):
    simulated.round()
  return np.linalg.norm(simulated.w - TRUTH)


GARBAGE = [hostile.flipped, hostile.large, hostile.overflowing]


@pytest.mark.parametrize('garbage', GARBAGE)
@pytest.mark.parametrize('name', METHODS)
def test_two_of_seven_clients_may_send_garbage(name, garbage):
  assert learned(simulation(garbage, aggregation=METHODS[name])) < 0.05


@pytest.mark.parametrize('garbage', GARBAGE)
def test_a_mean_does_not_hold_out(garbage):
  assert not learned(simulation(garbage)) < 2.0


@pytest.mark.parametrize('name', ['median', 'trimmed_mean'])
def test_what_is_not_finite_is_left_out_before(name):
  simulated = simulation(hostile.broken, aggregation=METHODS[name])
  assert learned(simulated) < 0.05
  assert simulated.round().metrics.num_broken == 2
  # Five are too few for Krum against two more.
  krum = simulation(hostile.broken, aggregation=KRUM)
  assert learned(krum, 1) == np.linalg.norm(TRUTH)
  krum = simulation(hostile.broken, aggregation=KRUM | {'num_byzantine': 1})
  assert learned(krum) < 0.05


@functools.cache
def in_one_block(name):
  """The values after each of two rounds."""
  simulated = simulation(hostile.flipped, aggregation=METHODS[name])
  found = []
  for _ in range(2):
    simulated.round()
    found.append(simulated.w)
  return found


@pytest.mark.parametrize('name', METHODS)
@pytest.mark.parametrize(('block_size', 'num_devices'), [(4, 1), (1, 4)])
def test_blocks_and_devices_change_nothing(name, block_size, num_devices):
  parts = simulation(
    hostile.flipped,
    aggregation=METHODS[name],
    block_size=block_size,
    num_devices=num_devices,
  )
  for wanted in in_one_block(name):
    outcome = parts.round()
    np.testing.assert_allclose(parts.w, wanted, rtol=1e-5, atol=1e-7)
  assert outcome.metrics.num_clients == 7


def test_pmap_changes_nothing():
  parts = simulation(
    hostile.flipped,
    aggregation=MEDIAN,
    num_devices=2,
    device_map=config.DeviceMap.PMAP,
  )
  for wanted in in_one_block('median'):
    parts.round()
    np.testing.assert_allclose(parts.w, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
  ('over_bound', 'wanted'),
  [
    # Each of the seven moves by (-3, -4) / 5 at most.
    (config.OverBound.SCALED, np.array([3.0, 4.0]) * 0.5 / 5 / 2),
    (config.OverBound.LEFT_OUT, np.array([0.03, 0.04])),
  ],
)
def test_updates_beyond_the_bound_are_scaled_or_left_out(over_bound, wanted):
  # Of weights 1, one of norm 5 and one of norm 0.05, in a bound of 0.5.
  clients = [
    linear.Data([[((3.0, 4.0), 1)]]),
    linear.Data([[((0.03, 0.04), 1)]]),
  ]
  federated = config.FederatedConfig(
    weighting=config.Weighting.UNIFORM,
    aggregation=config.AggregationConfig(norm_bound=0.5, over_bound=over_bound),
  )
  method = fedavg.fedavg(
    linear.gradient, lambda rate: optax.sgd(1.0), config.Weighting.UNIFORM
  )
  simulated = linear.Simulation(method, federated, clients, block_size=1)
  outcome = simulated.round()
  if over_bound is config.OverBound.SCALED:
    wanted = wanted + np.array([0.03, 0.04]) / 2
  np.testing.assert_allclose(simulated.w, wanted, rtol=1e-5)
  assert outcome.reports.was_clipped.ravel().tolist() == [True, False]
  count = 2 if over_bound is config.OverBound.SCALED else 1
  assert outcome.metrics.num_clients == count


@pytest.mark.parametrize('over_bound', config.OverBound)
def test_a_bound_tells_what_is_not_finite_from_what_is_long(over_bound):
  bound = {'norm_bound': 0.5, 'over_bound': over_bound}
  simulated = simulation(hostile.infinite, aggregation=bound)
  assert learned(simulated) < 0.3
  assert simulated.round().metrics.num_broken == 2
  long = simulation(hostile.overflowing, aggregation=bound).round()
  assert long.metrics.num_broken == 0
  assert long.reports.was_clipped.ravel()[[1, 5]].all()


@pytest.mark.parametrize(
  ('aggregation', 'does_learn'), [(MEDIAN, True), ({}, False)]
)
def test_a_recogniser_learns_among_hostile_clients_by_a_median(
  aggregation, does_learn
):
  settings = population.federated(
    cohort_size=7,
    block_size=4,
    num_rounds=8,
    weighting=config.Weighting.UNIFORM,
    client={'learning_rate': 0.05},
    aggregation=config.AggregationConfig(**aggregation),
  )
  simulated = population.Simulation(population.acoustic_model(), settings)
  method = algorithms.make(
    simulated.acoustic, settings, config.AugmentConfig(), 7
  )
  simulated.round_fn = rounds.of_algorithm(
    hostile.hostile(method, [2, 4], hostile.flipped),
    channel.chain([]),
    settings,
    simulated.layout.frame_buckets,
    simulated.devices,
  )
  state, losses = simulated.start(), []
  for index in range(8):
    state, metrics = simulated.step(state, simulated.members(index))
    losses.append(float(metrics.loss))
  falls = np.mean(losses[-2:]) < 0.9 * np.mean(losses[:2])
  assert falls == does_learn
