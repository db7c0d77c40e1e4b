"""The observed update is the one that training would have summed up."""

import dataclasses
import functools

import jax
import numpy as np
import population
import pytest
import quick

from fedjax_asr import config, streams
from fedjax_asr.attacks import victim
from fedjax_asr.federated import (
  algorithm,
  channel,
  channels,
  cohort,
  local_gradient,
  schedule,
  secure_protocol,
  secure_sum,
  server,
)
from fedjax_asr.models import model

ROUND = 2
NUM_STEPS = 4
AUGMENT = config.AugmentConfig(
  num_time_masks=1, max_time_mask_frames=4, max_time_mask_fraction=0.5
)
# All that happens to an update, and all that draws random numbers.
SETTINGS = population.federated(
  client={
    'optimizer': config.ClientOptimizer.MOMENTUM,
    'schedule': config.Schedule.LINEAR,
    'clip_norm': 1.0,
  },
  weighting=config.Weighting.UNIFORM,
  privacy=config.PrivacyConfig(
    clip_norm=0.5, local_noise_multiplier=0.05, central_noise_multiplier=0.1
  ),
  compression=config.CompressionConfig(
    method=config.Compression.TOP_K, top_fraction=0.5
  ),
)
PLAIN = config.FederatedConfig()


@pytest.fixture(autouse=True, scope='module')
def _quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)
  jax.clear_caches()


@pytest.fixture(scope='module')
def simulation():
  acoustic = model.deepspeech1(
    config.DeepSpeech1Config(
      context_frames=1,
      time_stride=2,
      dense_sizes=(8, 8, 8),
      recurrent_size=6,
      bidirectional=False,
      final_size=8,
      dropout=0.3,
    ),
    population.NUM_FEATURES,
  )
  return population.Simulation(acoustic, SETTINGS, augmentation=AUGMENT)


def round_delta(simulation, drawn):
  """(start, what the round moved it by); the server is SGD with rate 1."""
  start = simulation.start()
  start = start._replace(round=start.round + ROUND)
  before = jax.device_get(start)
  members = cohort.assemble(drawn, simulation.examples, simulation.layout)
  after, _ = simulation.step(start, members)
  delta = jax.tree.map(np.subtract, before.params, jax.device_get(after.params))
  return before, delta


@functools.cache
def sender(acoustic, observed):
  return victim.make_send(acoustic, SETTINGS, AUGMENT, observed, 7)


def batch_of(simulation, positions, num_frames=22, num_labels=8):
  return cohort.Batch(
    *simulation.examples.batch(np.array(positions), num_frames, num_labels)
  )


def positions(simulation, client, **keywords):
  return victim.batches(
    simulation.clients,
    client,
    simulation.examples.num_frames,
    SETTINGS,
    population.SEED,
    ROUND,
    **keywords,
  )


def own_batches(simulation, client):
  """Of one shape: steps, frames and labels of padding change nothing."""
  taken = positions(simulation, int(client))
  steps = ((0, NUM_STEPS - len(taken)), (0, 0))
  taken = np.pad(taken, steps, constant_values=-1)
  return victim.padded(batch_of(simulation, taken))


def message(
  simulation, before, client, batches, observed=config.Observed.DELTA
):
  return sender(simulation.acoustic, observed)(
    server.broadcast(before._replace(round=ROUND), SETTINGS),
    algorithm.Participant(client),
    (),
    batches,
    key_of(client),
  )


def key_of(client):
  return streams.key(population.KEY_SEED, streams.Stream.CLIENT, ROUND, client)


def noise_key():
  return streams.key(population.KEY_SEED, streams.Stream.SERVER_NOISE, ROUND)


SECURE = dataclasses.replace(
  SETTINGS,
  privacy=config.PrivacyConfig(
    clip_norm=0.5,
    central_noise_multiplier=0.1,
    mechanism=config.Mechanism.DISTRIBUTED,
  ),
  compression=config.CompressionConfig(),
  secure_aggregation=config.SecureAggregationConfig(enabled=True),
)


def test_a_secure_aggregate_is_what_the_round_unmasks(simulation):
  """Numbers that are rounded and noised are so by the same draws."""
  secure = population.Simulation(
    simulation.acoustic, SECURE, augmentation=AUGMENT
  )
  drawn = secure.draw(ROUND)
  members = secure.members(ROUND)
  protocol = secure_protocol.of_config(SECURE)
  of_round = secure_protocol.simulated(
    drawn.client_ids, drawn.client_ids, protocol, population.SEED, ROUND
  )
  placed = secure_protocol.placed(of_round, members.client_ids, protocol)
  start = secure.start()
  start = start._replace(round=start.round + ROUND)
  before = jax.device_get(start)
  after, _ = secure.step(start, members._replace(masks=placed))
  wanted = jax.tree.map(
    np.subtract, before.params, jax.device_get(after.params)
  )
  send = victim.make_send(
    secure.acoustic, SECURE, AUGMENT, config.Observed.DELTA, 7
  )
  messages = [
    send(
      server.broadcast(before._replace(round=ROUND), SECURE),
      algorithm.Participant(int(client)),
      (),
      own_batches(secure, client),
      key_of(client),
    )
    for client in drawn.client_ids
  ]
  for each in messages:
    for leaf in jax.tree.leaves(each.update.params):
      assert leaf.dtype == np.uint32
  got = victim.aggregate(messages, SECURE, noise_key())
  unit = secure_sum.make(SECURE).form.unit
  moved = population.norm(wanted)
  assert moved > 0.05
  # Local training in another program may round a number to its neighbour.
  assert population.distance(got, wanted) < 1e-5 * moved + 5 * unit


@pytest.mark.parametrize('num_clients', [1, 5])
def test_updates_are_what_the_round_sums_up(simulation, num_clients):
  drawn = simulation.draw(ROUND)
  drawn = cohort.Draw(*(leaf[-num_clients:] for leaf in drawn))
  before, wanted = round_delta(simulation, drawn)
  messages = [
    message(simulation, before, int(client), own_batches(simulation, client))
    for client in drawn.client_ids
  ]
  mean = victim.aggregate(messages, SETTINGS, noise_key())
  # The round divides by the five that it expects, whoever is there.
  wanted = jax.tree.map(lambda leaf: leaf * 5 / num_clients, wanted)
  moved = population.norm(wanted)
  assert moved > 0.1
  assert population.distance(mean, wanted) < 1e-5 * moved


def test_aggregate_weighs_by_what_was_sent_as_the_weight():
  updates = [{'a': np.float32([1, 2])}, {'a': np.float32([4, 8])}]
  messages = [
    algorithm.Message(
      algorithm.Update(update, {}), (), jax.numpy.float32(weight)
    )
    for update, weight in zip(updates, (1, 3), strict=True)
  ]
  mean = victim.aggregate(messages, PLAIN, jax.random.key(0))
  np.testing.assert_allclose(mean['a'], [3.25, 6.5])
  alone = victim.aggregate(messages[1:], PLAIN, jax.random.key(0))
  np.testing.assert_array_equal(alone['a'], updates[1]['a'])


def test_gradient_is_of_one_step_in_train_mode_clipped_noised_and_coded(
  simulation,
):
  before = jax.device_get(simulation.start())
  batches = batch_of(simulation, [[5, 6]])
  sent = message(simulation, before, 3, batches, config.Observed.GRADIENT)

  key = key_of(3)
  gradient = quick.jit(
    local_gradient.local_gradient(simulation.acoustic, AUGMENT)
  )
  batch = jax.tree.map(lambda leaf: leaf[0], batches)
  slope, _ = gradient(
    before.params,
    before.norm_state,
    batch,
    streams.of_client(key, streams.ClientStream.STEP, 0),
  )
  norm = population.norm(slope)
  assert norm > 1.0
  plain = jax.tree.map(lambda leaf: leaf / norm, slope)
  line = channels.make(SETTINGS)
  unsent = sent._replace(update=sent.update._replace(params=plain))
  wanted, _, was_clipped = line.client(unsent, (), channel.Sender(key, key))
  assert was_clipped
  assert population.distance(sent.update.params, wanted.update.params) < 1e-5
  assert sent.weight == 1


def test_gradient_of_several_steps_is_refused(simulation):
  before = jax.device_get(simulation.start())
  batches = batch_of(simulation, [[5], [5], [5]])
  with pytest.raises(victim.VictimError, match='3 local steps; want 1'):
    message(simulation, before, 3, batches, config.Observed.GRADIENT)


def test_victims_of_like_length_share_a_compilation(simulation):
  before = jax.device_get(simulation.start())
  send = sender(simulation.acoustic, config.Observed.DELTA)
  taken = positions(simulation, 6)
  assert len(taken) == NUM_STEPS
  shorter, longer = (
    victim.padded(batch_of(simulation, taken, *lengths))
    for lengths in ((22, 6), (50, 20))
  )
  assert shorter.features.shape == (4, 2, 64, population.NUM_FEATURES)
  one = message(simulation, before, 6, shorter)
  compiled = send._cache_size()
  other = message(simulation, before, 6, longer)
  assert send._cache_size() == compiled
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_padding_leaves_a_batch_of_the_quantum_as_it_is(simulation):
  exact = batch_of(simulation, [[5]], 128, 32)
  assert victim.padded(exact).features.shape[-2] == 128
  assert victim.padded(exact).labels.shape[-1] == 32


def test_nothing_usable_weighs_nothing(simulation):
  before = jax.device_get(simulation.start())
  batches = own_batches(simulation, 6)
  silent = batches._replace(num_labels=np.zeros_like(batches.num_labels))
  sent = message(simulation, before, 6, silent)
  assert sent.weight == 0
  mean = victim.aggregate([sent], PLAIN, noise_key())
  assert population.norm(mean) == 0


def test_batches_are_those_of_the_round(simulation):
  drawn = simulation.draw(ROUND)
  for client, wanted in zip(drawn.client_ids, drawn.utterances, strict=True):
    got = positions(simulation, int(client))
    np.testing.assert_array_equal(got, wanted[: len(got)])
    assert (wanted[len(got) :] == -1).all()


def test_a_client_that_is_not_drawn_has_batches_of_its_own_speech(simulation):
  (absent, *_) = set(range(7)) - set(simulation.draw(ROUND).client_ids)
  taken = positions(simulation, absent)
  own = simulation.clients[absent].utterances
  np.testing.assert_array_equal(np.sort(taken[taken >= 0]), np.sort(own))
  assert len(positions(simulation, absent, num_steps=9)) == 9


def test_victims_are_the_cohort_or_the_named_client(simulation):
  arguments = simulation.clients, SETTINGS
  of_round = victim.chosen(
    *arguments, config.AttackConfig(), population.SEED, ROUND
  )
  drawn = simulation.draw(ROUND).client_ids
  assert sorted(of_round) == sorted(drawn.tolist())
  named = config.AttackConfig(victim='s4')
  assert victim.chosen(*arguments, named, population.SEED, ROUND) == [4]


def test_victims_are_those_whose_work_came(simulation):
  settings = dataclasses.replace(
    SETTINGS, systems=config.SystemsConfig(dropout=0.5)
  )
  rounds = schedule.rounds(simulation.clients, settings, population.SEED)
  assert rounds is not None
  for index, timing in enumerate(rounds):
    came = victim.chosen(
      simulation.clients,
      settings,
      config.AttackConfig(),
      population.SEED,
      index,
    )
    assert came == timing.working.client_ids.tolist()
  assert sum(timing.num_lost for timing in rounds) > 0


def test_unknown_victim_is_one_line_with_near_names(simulation):
  wrong = config.AttackConfig(victim='s44')
  with pytest.raises(config.UserError) as caught:
    victim.chosen(simulation.clients, SETTINGS, wrong, population.SEED, ROUND)
  text = str(caught.value)
  assert text.startswith("config.attack.victim='s44': no such client")
  assert 's4' in text
  assert '\n' not in text
