"""Nothing is lost for good: what is not sent now is kept, and sent later."""

import jax
import jax.numpy as jnp
import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import algorithm, channel, channels
from fedjax_asr.federated.algorithms import fedavg

METHOD = config.Compression
NEAREST = config.Rounding.NEAREST
CODES = {
  'float16': {},
  'bfloat16': {},
  'int8': {'rounding': NEAREST},
  'quantized': {'rounding': NEAREST, 'bits': 2},
  'sign': {},
  'top_k': {'top_fraction': 0.2},
  'random_k': {'top_fraction': 0.2},
}
NUM_ROUNDS = 30


def line(name, **fields) -> channel.Channel:
  return channels.make(
    config.FederatedConfig(
      compression=config.CompressionConfig(
        method=METHOD(name), error_feedback=True, **CODES[name] | fields
      )
    )
  )


def message(params, weight=2.0):
  update = algorithm.Update(params, {})
  return algorithm.Message(update, (), jnp.float32(weight))


def updates(num_clients=3):
  """[rounds, clients, ...] of ten numbers."""
  rng = np.random.default_rng(0)
  size = NUM_ROUNDS, num_clients
  return {
    'a': np.float32(rng.normal(0.3, 1, (*size, 3, 2))),
    'b': np.float32(rng.normal(size=(*size, 4)) * 1e-3),
  }


def sent_and_kept(name, each, num_clients=3):
  """All that clients sent round by round, under jit and vmap; what is left."""
  found = line(name)
  assert found.init is not None
  memory = found.init({k: np.zeros(v.shape[2:], 'f') for k, v in each.items()})
  memory = jax.tree.map(lambda leaf: np.stack([leaf] * num_clients), memory)

  @jax.jit
  @jax.vmap
  def client(params, memory, key):
    got, memory, _ = found.client(
      message(params), memory, channel.Sender(key, key)
    )
    return got.update.params, memory

  sent = []
  for index in range(NUM_ROUNDS):
    keys = jax.random.split(jax.random.key(index), num_clients)
    params = {name: leaf[index] for name, leaf in each.items()}
    got, memory = client(params, memory, keys)
    sent.append(jax.device_get(got))
  return sent, jax.device_get(memory)[0]


@pytest.mark.parametrize('name', CODES)
def test_what_was_sent_and_what_is_kept_are_all_updates(name):
  each = updates()
  sent, kept = sent_and_kept(name, each)
  for leaf, wanted in each.items():
    whole = sum(np.float64(one[leaf]) for one in sent) + kept[leaf]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(
      whole, np.float64(wanted).sum(0), atol=NUM_ROUNDS * 1e-6 * scale
    )
  # Of a code that loses something, or there would be nothing to test.
  assert all(np.abs(leaf).max() > 0 for leaf in kept.values())


@pytest.mark.parametrize('name', CODES)
def test_what_is_kept_stays_bounded(name):
  """Ten times as many rounds do not make it ten times as long."""
  each = updates()
  _, kept = sent_and_kept(name, each)
  repeated = {
    name: np.concatenate([leaf] * 2)[NUM_ROUNDS // 2 :][:NUM_ROUNDS]
    for name, leaf in each.items()
  }
  _, again = sent_and_kept(name, repeated)
  # One in five is sent: five updates wait for their turn, by expectation.
  limit = 30 * np.abs(each['a']).max()
  for found in (kept, again):
    assert max(np.abs(leaf).max() for leaf in found.values()) < limit


def test_one_number_a_round_by_hand():
  """top_k of one of two: the smaller one grows until it is its turn."""
  found = line('top_k', top_fraction=0.5)
  sent, memory = [], ({'w': jnp.zeros(2)},)
  for _ in range(3):
    key = jax.random.key(0)
    got, memory, _ = found.client(
      message({'w': jnp.array([4.0, 3.0])}), memory, channel.Sender(key, key)
    )
    sent.append(got.update.params['w'].tolist())
  assert sent == [[4, 0], [0, 6], [8, 0]]
  assert memory[0]['w'].tolist() == [0, 3]


def test_who_weighs_nothing_sends_nothing_and_keeps_what_it_had():
  found = line('sign')
  before = ({'w': jnp.array([1.0, -2.0])},)
  key = jax.random.key(0)
  got, after, _ = found.client(
    message({'w': jnp.array([4.0, 3.0])}, 0.0), before, channel.Sender(key, key)
  )
  assert not got.update.params['w'].any()
  np.testing.assert_array_equal(after[0]['w'], before[0]['w'])


def simulation(block_size, name='top_k', **layout):
  clients = [
    linear.Data([[((1.0, 2.0 + index), 3), ((0.5, -1.0), index)]])
    for index in range(5)
  ]
  return linear.Simulation(
    fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UNIFORM),
    config.FederatedConfig(
      num_rounds=3, client=config.ClientConfig(learning_rate=0.1)
    ),
    clients,
    line=line(name, top_fraction=0.5) if name == 'top_k' else line(name),
    block_size=block_size,
    **layout,
  )


def by_hand(drawn, num_clients=5):
  """Two weights, of which the larger is sent; NumPy in float64."""
  whole = simulation(1)
  w, kept = np.zeros(2), np.zeros((num_clients, 2))
  for ids in drawn:
    sent = []
    for index in ids:
      after = linear.sgd_by_hand(w, whole.clients[index], 0.1)
      update = w - after + kept[index]
      out = np.where(np.abs(update) == np.abs(update).max(), update, 0)
      kept[index] = update - out
      sent.append(out)
    w = w - np.mean(sent, 0)
  return w, kept


# With padding clients in the last block, and clients who sit out.
DRAWN = [(0, 1, 2), (2, 3, 4), (0, 2, 4)]


@pytest.mark.parametrize(
  'layout',
  [{'block_size': 1}, {'block_size': 4}, {'block_size': 4, 'num_devices': 2}],
)
def test_rounds_are_those_worked_by_hand_whatever_the_layout(layout):
  found = simulation(**layout)
  for ids in DRAWN:
    found.round(ids)
  w, kept = by_hand(DRAWN)
  np.testing.assert_allclose(found.w, w, rtol=2e-6)
  for memory, wanted in zip(found.memories, kept, strict=True):
    (mine,) = memory.channel
    np.testing.assert_allclose(mine['w'], wanted, atol=1e-6)
    assert (wanted != 0).sum() == 1


def test_padding_and_who_sat_out_keep_what_they_had():
  found = simulation(4)
  found.round((0, 1, 2))
  before = [np.array(each.channel[0]['w']) for each in found.memories]
  outcome = found.round((1,))
  assert outcome.reports.weight.shape == (1, 1, 4)
  for index in (0, 2, 3, 4):
    np.testing.assert_array_equal(
      found.memories[index].channel[0]['w'], before[index]
    )
  assert (found.memories[1].channel[0]['w'] != before[1]).any()
  # Nobody can draw a padding client; what the round makes of it is no memory.
  assert not before[3].any()
