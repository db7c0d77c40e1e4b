"""The masked sum of a round, unmasked, against a sum of integers."""

import functools

import jax
import jax.numpy as jnp
import linear
import numpy as np
import pytest
from scipy import stats

from fedjax_asr import config, streams
from fedjax_asr.federated import (
  aggregation,
  algorithm,
  block,
  channel,
  channels,
  devices,
  fixed_point,
  masks,
  rounds,
  secure_protocol,
  secure_sum,
  server,
  skellam,
  skellam_accounting,
)

COUNT, SIZE, SEED = 12, 50, 3
KEY = jax.random.key(0)
DATA = [linear.Data([[((1.0,), 1)]])] * COUNT
# (block size, devices)
LAYOUTS = [(1, 1), (2, 2), (4, 2)]
OTHERS = [(1, 2), (2, 1), (4, 1)]

# Compiled, as a round has it.
sent_as = jax.jit(masks.hidden)


def settings(multiplier=0.0, threshold=0.25):
  return config.FederatedConfig(
    cohort_size=COUNT,
    weighting=config.Weighting.UNIFORM,
    privacy=config.PrivacyConfig(
      clip_norm=1.0,
      central_noise_multiplier=multiplier,
      mechanism=config.Mechanism.DISTRIBUTED,
    ),
    secure_aggregation=config.SecureAggregationConfig(
      enabled=True, threshold=threshold
    ),
  )


def noisy():
  return settings(2.0, threshold=0.5)


def lightly_noised():
  return settings(0.5)


@functools.cache
def updates(size=SIZE):
  rng = np.random.default_rng(0)
  found = rng.normal(size=(COUNT, size)).astype(np.float32)
  # Some shorter than the norm and some longer.
  lengths = np.linspace(0.2, 3.0, COUNT)[:, None]
  return found / np.linalg.norm(found, axis=1, keepdims=True) * lengths


def told(sent) -> algorithm.Algorithm:
  """Clients that send what they are told to, by their number."""
  zero = jnp.zeros(())

  def start(broadcast, participant, memory):
    there = (participant.client >= 0).astype(jnp.float32)
    totals = algorithm.Totals(zero, zero, there, there, there, zero)
    return algorithm.ClientState(
      broadcast.params, {}, (), totals, zero, zero, participant.client
    )

  def finish(broadcast, state):
    update = {'w': jnp.asarray(sent)[state.memory]}
    weight = (state.memory >= 0).astype(jnp.float32)
    return algorithm.Message(algorithm.Update(update, {}), (), weight), ()

  return algorithm.Algorithm(
    init_server=lambda params, norm_state: (),
    init_client=lambda params, norm_state: (),
    start=start,
    step=lambda broadcast, state, batch, key: state,
    finish=finish,
    combine=lambda broadcast, sums: (aggregation.mean(sums), ()),
    shares_start=False,
  )


def protocol(cfg):
  return secure_protocol.of_config(cfg)._replace(degree=8)


def members(cfg, num_dropped, block_size, num_devices):
  """The cohort without those that dropped out, and its protocol's round."""
  drawn = np.arange(COUNT)
  gone = np.random.default_rng(1).permutation(COUNT)[:num_dropped]
  of_all = linear.members(DATA, drawn, block_size, num_devices)
  ids = np.where(np.isin(of_all.client_ids, gone), -1, of_all.client_ids)
  of_round = secure_protocol.simulated(
    drawn, np.setdiff1d(drawn, gone), protocol(cfg), SEED, 0
  )
  placed = secure_protocol.placed(of_round, ids, protocol(cfg))
  return of_all._replace(client_ids=ids, masks=placed), of_round


@functools.cache
def summing(cfg_of, num_devices, size=SIZE):
  """What the devices of a round compute, compiled."""
  cfg = cfg_of()
  on_device = rounds._of_device(
    block.Training(told(updates(size)), linear.BUCKETS),
    channels.make(cfg),
    secure_sum.make(cfg),
    keeps_messages=False,
  )
  chosen = jax.local_devices()[:num_devices]
  return jax.jit(
    devices.over_clients(on_device, chosen, config.DeviceMap.SHARD_MAP)
  )


def sums_of(cfg_of, cohort, num_devices, key=KEY, size=SIZE):
  sent = algorithm.Broadcast(
    {'w': jnp.zeros(size)}, {}, (), learning_rate=jnp.float32(1)
  )
  shared = rounds._Shared(sent, key, key, jnp.int32(0), ())
  chosen = jax.local_devices()[:num_devices]
  local = rounds._Local(cohort, rounds.NO_MEMORIES)
  (masked, found), _ = summing(cfg_of, num_devices, size)(
    devices.replicate(shared, chosen), devices.spread(local, chosen)
  )
  return jax.device_get((masked, found))


@functools.cache
def encoder(cfg_of):
  cfg = cfg_of()
  line, secure = channels.make(cfg), secure_sum.make(cfg)

  @jax.jit
  def encoded(client, update):
    key = streams.of_root(KEY, streams.Stream.CLIENT, 0, client)
    sender = channel.Sender(key, key)
    message = algorithm.Message(
      algorithm.Update({'w': update}, {}), (), jnp.float32(1)
    )
    received, _, _ = line.client(message, (), sender)
    return secure.encoded(received, sender).update.params['w']

  return encoded


def plain_sum(cfg_of, clients):
  """Of the same encoded updates, one after the other, in Python's integers."""
  total = [0] * SIZE
  for client in clients:
    own = np.asarray(encoder(cfg_of)(client, updates()[client])).tolist()
    total = [(a + b) % 2**32 for a, b in zip(total, own, strict=True)]
  return np.array(total, np.uint32)


@pytest.mark.parametrize(
  ('cfg_of', 'layouts'),
  [
    (settings, LAYOUTS),
    (lightly_noised, [(4, 2)]),
    pytest.param(settings, OTHERS, marks=pytest.mark.slow),
    pytest.param(lightly_noised, OTHERS, marks=pytest.mark.slow),
  ],
)
def test_what_is_unmasked_is_the_plain_sum_bit_for_bit(cfg_of, layouts):
  # A tenth of the clients, a fifth and a third.
  for num_dropped in (0, 1, 2, 4):
    for layout in layouts:
      cohort, of_round = members(cfg_of(), num_dropped, *layout)
      assert of_round.num_dropped == num_dropped
      assert of_round.found is not None
      masked, found = sums_of(cfg_of, cohort, layout[1])
      got = secure_sum.unmasked(masked, found).update.params['w']
      senders = cohort.client_ids[cohort.client_ids >= 0]
      np.testing.assert_array_equal(got, plain_sum(cfg_of, senders))
      assert masked.weight == COUNT - num_dropped
      # What the server has before it recovers masks is anything.
      wrong = np.asarray(masked.update.params['w']).astype(np.int32)
      spread = np.abs(wrong / 2.0**31).mean()
      assert 0.3 < spread < 0.7
      assert (wrong != got.astype(np.int32)).all()


def test_dropped_clients_masks_are_needed():
  """With self masks alone the sum is still garbage."""
  cohort, of_round = members(settings(), 2, 4, 1)
  assert of_round.found is not None
  own = set(map(tuple, of_round.own))
  recovered = cohort.masks.recovered
  is_own = [tuple(seed) in own for seed in recovered.seeds[0]]
  factors = np.where(is_own, recovered.factors, 0).astype(np.uint32)
  partly = cohort._replace(
    masks=cohort.masks._replace(recovered=recovered._replace(factors=factors))
  )
  masked, found = sums_of(settings, partly, 1)
  got = secure_sum.unmasked(masked, found).update.params['w']
  senders = cohort.client_ids[cohort.client_ids >= 0]
  assert (got != plain_sum(settings, senders)).all()


def test_a_masked_message_is_uniform_and_says_nothing_of_its_update():
  size = 2**15
  rng = np.random.default_rng(0)
  drawn = np.arange(COUNT)
  of_round = secure_protocol.simulated(
    drawn, drawn, protocol(settings()), SEED, 0
  )
  own = masks.ClientMasks(
    of_round.own[0], of_round.pairs[0], of_round.signs[0], np.True_
  )
  # Small numbers, whose high bytes are all alike, and no update at all.
  small = rng.integers(-50, 50, size).astype(np.int32).view(np.uint32)
  for update in (small, np.zeros(size, np.uint32)):
    sent = np.asarray(sent_as({'w': update}, own)['w'])
    for place in range(4):
      counts = np.bincount(sent.view(np.uint8)[place::4], minlength=256)
      assert stats.chisquare(counts).pvalue > 1e-4
    centred = update.view(np.int32).astype(float)
    if centred.any():
      correlation = np.corrcoef(centred, sent.astype(float))[0, 1]
      assert abs(correlation) < 4 / np.sqrt(size)
  # An unmasked one is not uniform at all.
  counts = np.bincount(small.view(np.uint8)[3::4], minlength=256)
  assert stats.chisquare(counts).pvalue < 1e-10


def test_padding_sends_nothing():
  nobody = masks.ClientMasks(
    np.ones(2, np.uint32),
    np.ones((3, 2), np.uint32),
    np.ones(3, np.uint32),
    np.False_,
  )
  sent = sent_as({'w': np.ones(9, np.uint32)}, nobody)
  assert not np.asarray(sent['w']).any()


def test_encoding_is_unbiased_and_no_longer_than_the_norm():
  form = fixed_point.Format(0.5, 9)
  update = updates()[0] / np.linalg.norm(updates()[0]) * np.float32(0.5)
  update = jnp.float32(update)
  encoded = jax.jit(
    jax.vmap(lambda key: fixed_point.encoded(update, form, key))
  )(jax.random.split(KEY, 20_000))
  integers = np.asarray(encoded).view(np.int32).astype(float)
  lengths = np.linalg.norm(integers, axis=1)
  assert lengths.max() <= 2**9
  # What rounding may add is left for it, whether it is drawn or not.
  target = update / form.unit * (1 - np.sqrt(SIZE) / 2**9)
  error = integers.mean(0) - target
  assert np.abs(error).max() < 5 * 0.5 / np.sqrt(20_000)


def test_numbers_without_a_fraction_in_float32_are_as_they_are():
  form = fixed_point.Format(1.0, 27)
  values = np.float32([0.7, -0.3, 2.0**-20, -(2.0**-30)])
  encoded = fixed_point.encoded(jnp.asarray(values), form, KEY)
  exact = values.astype(float) * 2**27
  error = np.asarray(encoded).view(np.int32) - exact
  assert np.abs(error).max() < 1
  decoded = fixed_point.decoded({'w': encoded}, form)['w']
  np.testing.assert_allclose(decoded, values, rtol=1e-7, atol=2.0**-27)


def test_a_norm_without_bits_for_the_model_is_one_line():
  form = fixed_point.Format(1.0, 3)
  with pytest.raises(config.ConfigError) as caught:
    fixed_point.encoded(jnp.zeros(1000), form, KEY)
  assert str(caught.value).startswith(
    'config.federated.secure_aggregation.enabled=True; want a smaller'
  )
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('multiplier', [0.0, 0.01, 1.0, 30.0])
@pytest.mark.parametrize('cohort_size', [2, 12, 1000])
def test_no_sum_wraps_around(multiplier, cohort_size):
  cfg = settings(multiplier)
  cfg.cohort_size = cohort_size
  secure = secure_sum.make(cfg)
  reach = 0
  if secure.share_variance:
    reach = len(skellam.table(secure.share_variance).high)
  most = cohort_size * (2**secure.form.bits + reach)
  assert most < 2**31
  assert secure.form.bits >= 10


@pytest.mark.parametrize('num_devices', [1, 2])
def test_the_noise_of_a_sum_is_what_is_claimed(num_devices):
  """All send, of whom seven would do: so much more noise there is."""
  size = 20_000
  cfg_of = noisy
  cohort, _ = members(noisy(), 0, 4, num_devices)
  noised, found = sums_of(cfg_of, cohort, num_devices, size=size)
  secure = secure_sum.make(noisy())
  total = secure.decoded(secure_sum.unmasked(noised, found)).update.params['w']
  clipped = updates(size) / np.maximum(
    1, np.linalg.norm(updates(size), axis=1, keepdims=True)
  )
  drawn = np.asarray(total) - clipped.sum(0)
  stddev = 2.0 * np.sqrt(12 / 7)
  assert abs(drawn.mean()) < 4 * stddev / np.sqrt(size)
  assert abs(drawn.std() / stddev - 1) < 4 / np.sqrt(2 * size)
  noise = skellam_accounting.of_config(noisy(), size)
  claimed = np.sqrt(noise.variance) * secure.form.unit
  assert claimed == pytest.approx(2.0)


def test_the_least_number_of_senders_has_the_noise_that_is_claimed():
  size = 20_000
  cohort, of_round = members(noisy(), 5, 4, 1)
  assert of_round.found is None
  # Enough for a sum; that some neighbourhood is too small is not the point.
  ids = cohort.client_ids[cohort.client_ids >= 0]
  assert len(ids) == 7
  noised, _ = sums_of(noisy, cohort, 1, size=size)
  own = cohort.masks.clients
  hidden = np.zeros(size, np.uint32)
  for place in zip(*np.nonzero(own.is_sender), strict=True):
    mine = masks.ClientMasks(*(leaf[place] for leaf in own))
    zero = {'w': np.zeros(size, np.uint32)}
    hidden += np.asarray(sent_as(zero, mine)['w'])
  secure = secure_sum.make(noisy())
  total = secure.decoded(secure_sum.unmasked(noised, {'w': hidden}))
  clipped = updates(size) / np.maximum(
    1, np.linalg.norm(updates(size), axis=1, keepdims=True)
  )
  drawn = np.asarray(total.update.params['w']) - clipped[ids].sum(0)
  assert abs(drawn.std() / 2.0 - 1) < 4 / np.sqrt(2 * size)


@functools.cache
def compiled_round():
  return rounds.of_algorithm(
    told(updates()),
    channels.make(settings()),
    settings(),
    linear.BUCKETS,
    jax.local_devices()[:1],
  )


def after_round(num_dropped):
  cohort, of_round = members(settings(), num_dropped, 4, 1)
  state = server.ServerState(
    params={'w': jnp.ones(SIZE)},
    norm_state={},
    opt_state=rounds.optimizers.server_optimizer(
      settings().server, settings().num_rounds
    ).init({'w': jnp.ones(SIZE)}),
    round=jnp.zeros((), jnp.int32),
  )
  chosen = jax.local_devices()[:1]
  state, _, outcome = compiled_round()(
    devices.replicate(state, chosen),
    devices.spread(cohort, chosen),
    rounds.NO_MEMORIES,
    KEY,
  )
  return state, outcome, cohort, of_round


def test_the_server_steps_along_the_mean_of_those_who_sent():
  state, outcome, cohort, _ = after_round(2)
  ids = cohort.client_ids[cohort.client_ids >= 0]
  clipped = updates() / np.maximum(
    1, np.linalg.norm(updates(), axis=1, keepdims=True)
  )
  np.testing.assert_allclose(
    state.params['w'], 1 - clipped[ids].mean(0), atol=1e-6
  )
  assert outcome.metrics.num_clients == 10


def test_an_abandoned_round_changes_nothing_and_says_so():
  state, outcome, _, of_round = after_round(9)
  assert of_round.found is None
  np.testing.assert_array_equal(state.params['w'], np.ones(SIZE))
  assert int(state.round) == 1
  assert outcome.metrics.num_clients == 0
  assert outcome.metrics.delta_norm == 0
  assert not outcome.metrics.is_broken
