"""What a round's result may not depend on, and how it is compiled."""

import contextlib
import functools

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import algorithms, block, cohort, devices, rounds

# Sums of float32 in another order, through CTC and two rounds.
TOLERANCE = 1e-5
RANDOM = config.AugmentConfig(
  num_time_masks=2,
  max_time_mask_frames=6,
  max_time_mask_fraction=0.5,
  num_frequency_masks=1,
  max_frequency_mask_bins=4,
)
# Of a norm like the clipped update's own.
NOISE = config.PrivacyConfig(
  clip_norm=1.0, local_noise_multiplier=0.05, central_noise_multiplier=0.05
)
LAYOUTS = {
  'blocks_of_1': {'block_size': 1},
  'one_block': {'block_size': 8},
  'two_devices_blocks_of_3': {'num_devices': 2, 'block_size': 3},
  'four_devices_three_buckets': {'num_devices': 4, 'num_frame_buckets': 3},
  'four_devices_pmap': {
    'num_devices': 4,
    'device_map': config.DeviceMap.PMAP,
  },
}


@functools.cache
def random_simulation(name):
  """Everything that draws random numbers is on, and batch norm."""
  return population.Simulation(
    population.acoustic_model(norm=config.Norm.BATCH, dropout=0.3),
    population.federated(
      weighting=config.Weighting.UNIFORM,
      privacy=NOISE,
      **LAYOUTS.get(name, {}),
    ),
    augmentation=RANDOM,
  )


SIMULATIONS = population.plain, functools.partial(random_simulation, None)


@pytest.fixture(scope='module')
def randomised():
  return random_simulation(None)


@pytest.fixture
def plain():
  return population.plain()


def trained(state):
  return state.params, state.norm_state


def assert_identical(left, right):
  jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize(
  'name',
  [
    # tests/compiled has blocks of one, as XLA compiles them for users.
    pytest.param(name, marks=pytest.mark.slow if name == 'blocks_of_1' else ())
    for name in LAYOUTS
  ],
)
def test_result_does_not_depend_on_the_layout(randomised, name):
  wanted, wanted_metrics = randomised.run(2)
  other = random_simulation(name)
  state, metrics = other.run(2)
  moved = population.distance(wanted.params, randomised.start().params)
  difference = population.distance(trained(state), trained(wanted))
  assert difference < TOLERANCE * moved
  for got, want in zip(metrics, wanted_metrics, strict=True):
    np.testing.assert_allclose(got, want, rtol=TOLERANCE)


def test_the_layouts_of_these_tests_differ():
  layouts = {random_simulation(name).layout for name in (None, *LAYOUTS)}
  assert len(layouts) == len(LAYOUTS) + 1
  assert {layout.num_blocks for layout in layouts} == {1, 3, 5}
  assert {len(layout.frame_buckets) for layout in layouts} == {1, 2}


@pytest.mark.parametrize('what', ['run key', 'round', 'client'])
def test_random_draws_differ_with(randomised, what):
  members = randomised.members(0)
  wanted, _ = randomised.step(randomised.start(), members)
  start = randomised.start()
  key = jax.random.key(population.KEY_SEED)
  match what:
    case 'run key':
      key = jax.random.key(population.KEY_SEED + 1)
    case 'round':
      start = start._replace(round=start.round + 1)
    case 'client':
      members = members._replace(client_ids=members.client_ids + 1)
  state, _ = randomised.step(start, members, key)
  assert population.distance(state.params, wanted.params) > 1e-3


@pytest.mark.parametrize(
  ('kind', 'stddev'),
  [
    # Five clients of weight 1: independent noise adds up by its variance.
    ('local_noise_multiplier', 0.05 / np.sqrt(5)),
    ('central_noise_multiplier', 0.05 / 5),
  ],
)
def test_noise_of_a_round_has_the_standard_deviation(kind, stddev):
  simulation = population.Simulation(
    population.acoustic_model(),
    population.federated(
      weighting=config.Weighting.UNIFORM,
      privacy=config.PrivacyConfig(clip_norm=1.0, **{kind: 0.05}),
    ),
  )
  # Nothing else is random.
  outcomes = [
    jax.device_get(
      simulation.step(
        simulation.start(), simulation.members(0), jax.random.key(seed)
      )
    )
    for seed in range(2)
  ]
  (one, metrics), (other, _) = outcomes
  assert metrics.num_clients == 5
  count = sum(leaf.size for leaf in jax.tree.leaves(one.params))
  between = population.distance(one.params, other.params) / np.sqrt(2 * count)
  assert abs(between / stddev - 1) < 4 / np.sqrt(2 * count)


def test_a_client_sends_its_code():
  simulation = population.Simulation(
    population.acoustic_model(),
    population.federated(
      cohort_size=1,
      compression=config.CompressionConfig(
        method=config.Compression.TOP_K, top_fraction=0.1
      ),
    ),
  )
  before = jax.device_get(simulation.start().params)
  state, _ = simulation.run(1)
  changed = jax.tree.map(lambda a, b: (a != b).sum(), before, state.params)
  kept = 0.1 * sum(leaf.size for leaf in jax.tree.leaves(before))
  assert 0.95 * kept < sum(jax.tree.leaves(changed)) <= round(kept)


def test_garbage_in_padding_changes_nothing(plain):
  members = plain.members(0)
  wanted, wanted_metrics = plain.step(plain.start(), members)
  own = members.utterances
  frames = np.arange(own.features.shape[-2])
  is_frame = frames < own.num_frames[..., None]
  places = np.arange(own.labels.shape[-1])
  is_label = places < own.num_labels[..., None]
  # Behind an utterance's end, and all of an utterance that is not there.
  assert not is_frame.all()
  assert not is_frame.any(-1).all()
  assert not is_label.all()
  own = own._replace(
    features=np.where(is_frame[..., None], own.features, np.nan),
    labels=np.where(is_label, own.labels, 7),
  )
  got = plain.step(plain.start(), members._replace(utterances=own))
  assert_identical(got, (wanted, wanted_metrics))


def test_padding_clients_steps_utterances_and_frames_change_nothing(plain):
  wanted, wanted_metrics = plain.step(plain.start(), plain.members(0))
  layout = plain.layout._replace(
    num_blocks=plain.layout.num_blocks + 2,
    num_steps=plain.layout.num_steps + 2,
    batch_size=plain.layout.batch_size + 1,
    frame_buckets=(32,),
    num_labels=plain.layout.num_labels + 3,
  )
  drawn = plain.draw(0)
  padded = np.pad(
    drawn.utterances, ((0, 0), (1, 1), (0, 1)), constant_values=-1
  )
  # Steps that are padding for one client of a block and real for another.
  padded[::2] = np.roll(padded[::2], 1, axis=1)
  members = cohort.assemble(
    drawn._replace(utterances=padded), plain.examples, layout
  )
  round_fn = rounds.make_round(
    plain.acoustic,
    plain.settings,
    config.AugmentConfig(),
    layout.frame_buckets,
    plain.devices,
    len(plain.clients),
  )
  arguments = (
    plain.start(),
    devices.spread(members, plain.devices),
    rounds.NO_MEMORIES,
    plain.key,
  )
  state, _, outcome = population.compiled_quickly(round_fn, *arguments)(
    *arguments
  )
  metrics = outcome.metrics
  moved = population.distance(wanted.params, plain.start().params)
  difference = population.distance(trained(state), trained(wanted))
  assert difference < TOLERANCE * moved
  for got, want in zip(metrics, wanted_metrics, strict=True):
    np.testing.assert_allclose(got, want, rtol=TOLERANCE)


def copied(members):
  """The cohort with an utterance of its own in each place of each step."""
  batches = population.batches(members)
  shape = batches.num_frames.shape

  def of_client(leaf):
    # devices blocks steps clients batch -> devices blocks clients utterances.
    leaf = leaf.swapaxes(2, 3)
    return leaf.reshape(*leaf.shape[:3], -1, *leaf.shape[5:])

  own = np.arange(shape[2] * shape[4], dtype=np.int32).reshape(shape[2], -1)
  indices = np.broadcast_to(own[:, None], shape)
  return members._replace(
    utterances=jax.tree.map(of_client, batches),
    indices=np.where(members.indices >= 0, indices, -1),
  )


@pytest.mark.slow
def test_an_utterance_that_epochs_share_is_as_good_as_copies():
  runs = []
  for made_of in (lambda members: members, copied):
    simulation = population.Simulation(
      population.acoustic_model(norm=config.Norm.BATCH, dropout=0.3),
      population.federated(
        client={
          'local_epochs': 3,
          'batch_size': 4,
          'batch_frames': 60,
          'learning_rate': 0.1,
        },
        num_devices=2,
        num_frame_buckets=2,
      ),
      augmentation=RANDOM,
    )
    members = made_of(simulation.members(0))
    runs.append((members, simulation.step(simulation.start(), members)))
  (shared, got), (several, wanted) = runs
  num_shared, num_several = (
    each.utterances.num_frames.size for each in (shared, several)
  )
  assert num_several > 3 * num_shared
  assert population.distance(got[0].params, simulation.start().params) > 1e-2
  assert_identical(got, wanted)


def without_alignment(members, chosen=...):
  """The cohort whose chosen utterances have no transcript."""
  num_labels = members.utterances.num_labels.copy()
  num_labels[chosen] = 0
  return members._replace(
    utterances=members.utterances._replace(num_labels=num_labels)
  )


def test_a_cohort_without_a_usable_utterance_moves_nothing(plain):
  members = without_alignment(plain.members(0))
  before = jax.device_get(trained(plain.start()))
  state, metrics = plain.step(plain.start(), members)
  assert_identical(trained(state), before)
  assert metrics.delta_norm == metrics.loss == metrics.gradient_norm == 0
  assert metrics.num_clients == metrics.num_utterances == 0
  assert metrics.num_infeasible == (members.indices >= 0).sum()
  assert state.round == 1


def test_a_cohort_of_padding_moves_nothing(plain):
  simulation = plain
  drawn = simulation.draw(0)
  drawn = drawn._replace(utterances=np.full_like(drawn.utterances, -1))
  members = cohort.assemble(drawn, simulation.examples, simulation.layout)
  before = jax.device_get(trained(simulation.start()))
  state, metrics = simulation.step(simulation.start(), members)
  assert_identical(trained(state), before)
  assert not any(metrics[:-1])


@pytest.mark.parametrize('make', SIMULATIONS, ids=['plain', 'random'])
def test_a_client_without_a_usable_utterance_weighs_nothing(make):
  simulation = make()
  drawn = simulation.draw(0)
  place = 2
  emptied = drawn.utterances.copy()
  emptied[place] = -1
  wanted, wanted_metrics = simulation.step(
    simulation.start(),
    cohort.assemble(
      drawn._replace(utterances=emptied), simulation.examples, simulation.layout
    ),
  )
  members = simulation.members(0)
  chosen = members.client_ids == drawn.client_ids[place]
  state, metrics = simulation.step(
    simulation.start(), without_alignment(members, chosen)
  )
  assert_identical(trained(state), trained(wanted))
  own = (drawn.utterances[place] >= 0).sum()
  assert metrics.num_infeasible == wanted_metrics.num_infeasible + own
  assert metrics.num_clients == wanted_metrics.num_clients == 4


def test_a_speaker_with_one_utterance_trains(plain):
  drawn = plain.draw(0)
  lonely = int(np.argmin([len(each.utterances) for each in plain.clients]))
  (utterance,) = plain.clients[lonely].utterances
  utterances = np.full_like(drawn.utterances[:1], -1)
  utterances[0, 0, -1] = utterance
  members = cohort.assemble(
    cohort.Draw(np.array([lonely]), utterances, np.zeros(1, int)),
    plain.examples,
    plain.layout,
  )
  before = jax.device_get(plain.start().params)
  state, metrics = plain.step(plain.start(), members)
  assert metrics.num_clients == metrics.num_utterances == 1
  assert population.distance(state.params, before) > 1e-3
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_the_server_state_is_donated(plain):
  start = plain.start()
  plain.step(start, plain.members(0))
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(start))


@contextlib.contextmanager
def compilations():
  """A list that grows by one with each compilation."""
  compiled = []

  def listen(event, duration, **_):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(duration)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield compiled
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize('name', [None, 'four_devices_pmap'])
def test_rounds_compile_once_and_transfer_nothing(name):
  # Not the one that other tests share, which may be compiled already.
  simulation = random_simulation.__wrapped__(name)
  hosts = [simulation.members(index) for index in range(4)]
  assert len({tuple(members.bucket.ravel()) for members in hosts}) > 1
  cohorts = [devices.spread(members, simulation.devices) for members in hosts]
  state = simulation.start()
  with compilations() as compiled, jax.transfer_guard('disallow'):
    for members in cohorts:
      state, _, _ = simulation.round_fn(
        state, members, rounds.NO_MEMORIES, simulation.key
      )
  assert len(compiled) == simulation.round_fn._cache_size() == 1
  with (
    jax.transfer_guard('disallow'),
    pytest.raises(Exception, match='isallow'),
  ):
    jax.jit(lambda x: x + 1)(np.ones(2))


@pytest.mark.parametrize(
  'local_steps', [1, pytest.param(3, marks=pytest.mark.slow)]
)
def test_first_step_on_shared_weights_changes_no_result(
  monkeypatch, local_steps
):
  """Against each client's own copy in all steps, clipped and with norms."""
  client = {'local_steps': local_steps, 'clip_norm': 0.5}
  runs = {}
  for shares in (False, True):
    monkeypatch.setattr(
      block, '_shares_first_step', lambda method, steps, shares=shares: shares
    )
    simulation = population.Simulation(
      population.acoustic_model(norm=config.Norm.BATCH),
      population.federated(block_size=3, client=client),
    )
    runs[shares] = simulation.run(2)
    start = simulation.start()
  (state, metrics), (wanted, wanted_metrics) = runs[True], runs[False]
  moved = population.distance(wanted.params, start.params)
  assert population.distance(trained(state), trained(wanted)) < 1e-5 * moved
  for got, want in zip(metrics, wanted_metrics, strict=True):
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_one_step_is_on_shared_weights_everywhere():
  method = algorithms.make(
    population.acoustic_model(),
    population.federated(),
    config.AugmentConfig(),
    7,
  )
  assert block._shares_first_step(method, 1)
