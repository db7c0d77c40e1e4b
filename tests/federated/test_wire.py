"""Bytes that are counted are those that are written, and say what was meant."""

import functools

import jax
import numpy as np
import population
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.federated import (
  algorithm,
  algorithms,
  bit_packing,
  channel,
  channels,
  compression,
  server,
  wire,
)

METHOD = config.Compression
NEAREST = config.Rounding.NEAREST
CODES = [
  *({'method': method} for method in METHOD),
  {'method': METHOD.INT8, 'rounding': NEAREST},
  *({'method': METHOD.QUANTIZED, 'bits': bits} for bits in (1, 2, 3, 5, 8)),
  {'method': METHOD.QUANTIZED, 'bits': 6, 'rounding': NEAREST},
  {'method': METHOD.SIGN, 'error_feedback': True},
  *(
    {'method': method, 'top_fraction': fraction}
    for method in (METHOD.TOP_K, METHOD.RANDOM_K)
    for fraction in (1e-6, 0.37, 1.0)
  ),
  {'method': METHOD.RANDOM_K, 'error_feedback': True},
]
MODELS = {
  'ds1': population.deepspeech1,
  'ds2': lambda: population.acoustic_model(norm=config.Norm.BATCH),
}


def _name(code):
  return ' '.join(str(value) for value in code.values())


@functools.cache
def message(name) -> algorithm.Message:
  """An update in the shapes of a model, with zeros in it and a dead array."""
  params, norm_state = population.initialised(MODELS[name]()).init(None)
  rng = np.random.default_rng(0)

  def noise(leaf):
    values = rng.normal(size=leaf.shape) * 10.0 ** rng.integers(-6, 1)
    return np.float32(values * (rng.random(leaf.shape) > 0.2))

  update = jax.tree.map(noise, params)
  leaves, tree = jax.tree.flatten(update)
  leaves[0] = np.zeros_like(leaves[0])
  leaves[1].flat[0] = -0.0
  update = algorithm.Update(
    tree.unflatten(leaves), jax.tree.map(np.float32, norm_state)
  )
  return algorithm.Message(
    update, {'losses': np.arange(3, dtype='f')}, np.float32(5)
  )


def assert_same_bits(got, want):
  assert jax.tree.structure(got) == jax.tree.structure(want)
  for ours, theirs in zip(
    jax.tree.leaves(got), jax.tree.leaves(want), strict=True
  ):
    assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


@pytest.mark.parametrize(
  ('code', 'name'),
  [
    *((code, 'ds2') for code in CODES),
    ({'method': METHOD.SIGN}, 'ds1'),
    ({'method': METHOD.TOP_K}, 'ds1'),
  ],
  ids=lambda value: value if isinstance(value, str) else _name(value),
)
def test_decoded_bytes_are_what_the_channel_gave_the_server(code, name):
  cfg = config.CompressionConfig(**code)
  line = channels.make(config.FederatedConfig(compression=cfg))
  whole, key = message(name), jax.random.key(7)
  memory = line.init(whole.update.params) if line.init else ()

  @jax.jit
  def received(whole, memory, key):
    return line.client(whole, memory, channel.Sender(key, key))[0]

  # What is kept is zero before the first round; and -0 + 0 is 0.
  params = jax.tree.map(lambda leaf: leaf + np.float32(0), whole.update.params)
  params = params if cfg.error_feedback else whole.update.params
  coded = quick.jit(compression.make(cfg).coded)(params, key)
  data = wire.encode(cfg, jax.device_get(coded), whole)
  assert isinstance(data, bytes)
  assert len(data) == wire.num_bytes(cfg, whole)
  like = jax.eval_shape(lambda: whole)
  assert wire.num_bytes(cfg, like) == len(data)
  got = wire.decode(cfg, data, like)
  assert_same_bits(got, received(whole, memory, key))


def test_bytes_of_each_code_by_hand():
  """Of 1000 numbers in two arrays, with a weight and nothing else."""
  params = {'a': np.zeros(990, 'f'), 'b': np.zeros(10, 'f')}
  whole = algorithm.Message(algorithm.Update(params, {}), (), np.float32(1))
  frame = 16 + 4
  for code, wanted in (
    ({'method': METHOD.NONE}, 4000),
    ({'method': METHOD.FLOAT16}, 2000),
    ({'method': METHOD.BFLOAT16}, 2000),
    ({'method': METHOD.INT8}, 8 + 1000),
    ({'method': METHOD.QUANTIZED, 'bits': 3}, 8 + 375),
    ({'method': METHOD.QUANTIZED, 'bits': 1}, 8 + 125),
    ({'method': METHOD.SIGN}, 8 + 200),
    # Places of 10 bits.
    ({'method': METHOD.TOP_K, 'top_fraction': 0.01}, 40 + 13),
    ({'method': METHOD.RANDOM_K, 'top_fraction': 0.01}, 40 + 8),
  ):
    cfg = config.CompressionConfig(**code)
    assert wire.num_bytes(cfg, whole) == frame + wanted, code


def test_another_codes_or_models_bytes_are_refused():
  whole = message('ds1')
  data = wire.encode(config.CompressionConfig(), whole.update.params, whole)
  with pytest.raises(wire.WireError, match='bytes; want'):
    wire.decode(config.CompressionConfig(), data, message('ds2'))
  int8 = config.CompressionConfig(method=METHOD.INT8)
  eight = config.CompressionConfig(method=METHOD.QUANTIZED, bits=8)
  coded = quick.jit(compression.make(int8).coded)(
    whole.update.params, jax.random.key(0)
  )
  data = wire.encode(int8, coded, whole)
  with pytest.raises(wire.WireError, match='header'):
    wire.decode(eight, data, whole)


@pytest.mark.parametrize('bits', [0, 1, 3, 7, 8, 13, 24])
def test_numbers_of_any_bits_come_back(bits):
  numbers = np.random.default_rng(bits).integers(0, 2**bits, 1001)
  data = bit_packing.packed(numbers, bits).tobytes()
  assert len(data) == bit_packing.num_bytes(1001, bits) == -(-1001 * bits // 8)
  np.testing.assert_array_equal(bit_packing.unpacked(data, 1001, bits), numbers)


def _sizes(name, **fields):
  acoustic = population.deepspeech1()
  federated = config.FederatedConfig(algorithm=name, **fields)
  method = algorithms.make(acoustic, federated, config.AugmentConfig(), 7)
  line = channels.make(federated)
  state = jax.eval_shape(
    lambda key: server.initial_state(acoustic, federated, key, 7),
    jax.random.key(0),
  )
  sent = jax.eval_shape(lambda state: server.broadcast(state, federated), state)
  return wire.sizes(
    method, line, federated.compression, sent, state.channel_state
  )


@pytest.mark.parametrize('name', config.AlgorithmName)
def test_what_algorithms_send_besides_is_counted(name):
  """Header, the model's numbers, and a weight or a rate; as their rules say."""
  params, norm_state = population.initialised(population.deepspeech1()).init(0)
  model = 4 * sum(leaf.size for leaf in jax.tree.leaves((params, norm_state)))
  more = {
    'scaffold': (model, model),
    # One buffer of momentum, and the gradient that moves it.
    'mimelite': (model, model),
    'fednova': (4, 0),
    'qffl': (4, 0),
    # A number for each of seven clients, and whether it took part.
    'agnostic': (4 * 7 + 4, 4 * 7),
    'loss_weighted': (4, 4),
    'wer_weighted': (4, 4),
  }
  up, down = more.get(name, (0, 0))
  client = config.ClientConfig(
    optimizer=config.ClientOptimizer.MOMENTUM
    if name == 'mimelite'
    else config.ClientOptimizer.SGD
  )
  found = _sizes(name, client=client)
  assert found.up - (16 + model + 4) == up
  assert found.down - (16 + model + 4) == down


def test_what_clients_are_told_of_the_channel_is_counted():
  fields = {'privacy': config.PrivacyConfig(clip_norm=1.0)}
  flat = _sizes(config.AlgorithmName.FEDAVG, **fields)
  fields['privacy'].clipping = config.Clipping.ADAPTIVE
  adaptive = _sizes(config.AlgorithmName.FEDAVG, **fields)
  assert adaptive.down - flat.down == 4


@pytest.mark.parametrize('name', ['feddyn', 'fedbuff'])
def test_memory_that_is_not_sent_is_not_used_by_clients(name):
  """Of who is not stale: else it was sent then, in place of what is new."""
  acoustic = population.initialised(population.deepspeech1())
  federated = config.FederatedConfig(algorithm=config.AlgorithmName(name))
  method = algorithms.make(acoustic, federated, config.AugmentConfig(), 7)
  state = server.initial_state(acoustic, federated, jax.random.key(0), 7)
  sent = server.broadcast(state, federated)
  assert jax.tree.leaves(method.told(sent.memory)) == []
  unknown = jax.tree.map(lambda leaf: leaf * np.nan, sent.memory)

  @quick.jit
  def message(memory):
    now = sent._replace(memory=memory)
    kept = method.init_client(now.params, now.norm_state)
    somebody = algorithm.Participant(np.int32(0))
    return method.finish(now, method.start(now, somebody, kept))[0]

  for leaf in jax.tree.leaves(message(unknown)):
    assert np.isfinite(leaf).all()
