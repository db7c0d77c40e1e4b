"""Messages as bytes: what a client sends in a round, and what it is sent.

Rounds are simulated and nothing travels; this is what would. `encode` and
`decode` are the format and `sizes` counts it without a message. All is
little-endian, in this order:

  header   16 bytes: b'FA', version, code, bits, three zeros, numbers (uint64)
  update   of the parameters, as the code has it (docs/communication.md)
  rest     norm_state, the algorithm's extra and the weight, each array as it is

Frames, checksums and encryption of whatever carries it are not in it.
"""

import math
import struct
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from fedjax_asr import config
from fedjax_asr.federated import (
  algorithm,
  bit_packing,
  channel,
  compression,
  quantisation,
  sparsity,
)

_HEADER = struct.Struct('<2sBBB3xQ')
_MAGIC, _VERSION = b'FA', 1
# Given once; a number that was used is never given again.
_NUMBERS = {
  config.Compression.NONE: 0,
  config.Compression.FLOAT16: 1,
  config.Compression.BFLOAT16: 2,
  config.Compression.INT8: 3,
  config.Compression.QUANTIZED: 4,
  config.Compression.SIGN: 5,
  config.Compression.TOP_K: 6,
  config.Compression.RANDOM_K: 7,
}
_SEED_BYTES = 8


class WireError(ValueError):
  """Bytes that are no message of this format, code or model."""


class Sizes(NamedTuple):
  """Bytes of one client in one round.

  up: that it sends.
  down: that it is sent.
  """

  up: int
  down: int


def sizes(
  method: algorithm.Algorithm,
  line: channel.Channel,
  cfg: config.CompressionConfig,
  sent: algorithm.Broadcast,
  channel_state: channel.State = (),
) -> Sizes:
  """Of a client of an algorithm and a channel; only shapes are computed.

  Down go the header, the server's values, what clients are told of its memory
  and of the channel's state, and the learning rate. A client that keeps
  something is not sent it.
  """

  def message(sent):
    kept = method.init_client(sent.params, sent.norm_state)
    nobody = algorithm.Participant(np.zeros((), np.int32))
    return method.finish(sent, method.start(sent, nobody, kept))[0]

  down = (
    sent._replace(memory=()),
    jax.eval_shape(method.told, sent.memory),
    jax.eval_shape(line.told, channel_state),
  )
  return Sizes(
    up=num_bytes(cfg, jax.eval_shape(message, sent)),
    down=_HEADER.size + _raw_bytes(down),
  )


def num_bytes(cfg: config.CompressionConfig, like: algorithm.Message) -> int:
  """Of a message of these shapes: always `len(encode(...))`."""
  return (
    _HEADER.size
    + _update_bytes(cfg, like.update.params)
    + _raw_bytes(_rest(like))
  )


def encode(
  cfg: config.CompressionConfig, symbols: Any, message: algorithm.Message
) -> bytes:
  """A message whose update of the parameters is coded.

  Args:
    cfg: of the code.
    symbols: of `compression.Code.coded`.
    message: of which the update of the parameters is not read.
  """
  size, update = _update(cfg, symbols)
  header = _HEADER.pack(
    _MAGIC, _VERSION, _NUMBERS[cfg.method], _bits(cfg), size
  )
  rest = [
    np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(_rest(message))
  ]
  return b''.join([header, update, *rest])


def decode(
  cfg: config.CompressionConfig, data: bytes, like: algorithm.Message
) -> algorithm.Message:
  """What the server takes the bytes for: to the bit, what the channel gave it.

  `like`: a message of these shapes.

  Raises:
    WireError: they are of another format, code or model.
  """
  params = like.update.params
  wanted = (
    _MAGIC,
    _VERSION,
    _NUMBERS[cfg.method],
    _bits(cfg),
    sparsity.count(params),
  )
  if len(data) != num_bytes(cfg, like):
    raise WireError(f'{len(data)} bytes; want {num_bytes(cfg, like)}.')
  header = _HEADER.unpack_from(data)
  if header != wanted:
    raise WireError(f'header {header}; want {wanted}.')
  end = _HEADER.size + _update_bytes(cfg, params)
  symbols = _symbols(cfg, data[_HEADER.size : end], params)
  rest = _from_raw(data[end:], _rest(like))
  norm_state, extra, weight = rest
  # Compiled, as the round is: it takes numbers near zero for zero.
  decoded = jax.jit(compression.make(cfg).decoded)(symbols)
  return algorithm.Message(
    update=algorithm.Update(decoded, norm_state), extra=extra, weight=weight
  )


def _rest(message: algorithm.Message) -> tuple:
  """What is sent as it is."""
  return message.update.norm_state, message.extra, message.weight


def _bits(cfg: config.CompressionConfig) -> int:
  """Of a level; 0 for a code without levels of bits."""
  match cfg.method:
    case config.Compression.INT8:
      return 8
    case config.Compression.QUANTIZED:
      return cfg.bits
  return 0


def _update_bytes(cfg: config.CompressionConfig, params: PyTree) -> int:
  size, scales = sparsity.count(params), 4 * len(jax.tree.leaves(params))
  k = sparsity.num_sent(size, cfg.top_fraction)
  match cfg.method:
    case config.Compression.NONE:
      return 4 * size
    case config.Compression.FLOAT16 | config.Compression.BFLOAT16:
      return 2 * size
    case config.Compression.INT8 | config.Compression.QUANTIZED:
      return scales + bit_packing.num_bytes(size, _bits(cfg))
    case config.Compression.SIGN:
      return scales + bit_packing.trit_bytes(size)
    case config.Compression.TOP_K:
      return 4 * k + bit_packing.num_bytes(k, _place_bits(size))
    case config.Compression.RANDOM_K:
      return _SEED_BYTES + 4 * k


def _place_bits(size: int) -> int:
  """Of a place among so many numbers."""
  return (size - 1).bit_length()


def _update(cfg: config.CompressionConfig, symbols: Any) -> tuple[int, bytes]:
  """How many numbers the update has, and the bytes of it."""
  match cfg.method:
    case config.Compression.NONE:
      values = _flat(symbols)
      return len(values), values.tobytes()
    case config.Compression.FLOAT16:
      values = _flat(symbols)
      return len(values), values.astype(np.float16).tobytes()
    case config.Compression.BFLOAT16:
      values = _flat(symbols)
      # Rounded already: what is left out is zero.
      return len(values), (values.view(np.uint32) >> 16).astype('<u2').tobytes()
    case config.Compression.TOP_K | config.Compression.RANDOM_K:
      return _sparse(symbols)
  levels = _flat(symbols.levels).astype(np.int64)
  scales = _flat(symbols.scales).tobytes()
  if cfg.method is config.Compression.SIGN:
    return len(levels), scales + bit_packing.packed_trits(levels + 1).tobytes()
  codes, bits = _codes(levels, _bits(cfg)), _bits(cfg)
  return len(levels), scales + bit_packing.packed(codes, bits).tobytes()


def _sparse(symbols: sparsity.Chosen) -> tuple[int, bytes]:
  """The seed or the places, ascending, and the numbers there."""
  is_sent, values = _flat(symbols.is_sent), _flat(symbols.values)
  places = np.flatnonzero(is_sent)
  if isinstance(symbols.seed, tuple):
    head = bit_packing.packed(places, _place_bits(len(values)))
  else:
    head = np.asarray(symbols.seed, '<u4')
  return len(values), head.tobytes() + values[places].tobytes()


def _symbols(cfg: config.CompressionConfig, data: bytes, like: PyTree) -> Any:
  """What `_update` was given, as far as a decoder reads it."""
  size = sparsity.count(like)
  match cfg.method:
    case config.Compression.NONE:
      return sparsity.shaped(np.frombuffer(data, '<f4'), like)
    case config.Compression.FLOAT16:
      halves = np.frombuffer(data, '<f2').astype(np.float32)
      return sparsity.shaped(halves, like)
    case config.Compression.BFLOAT16:
      halves = np.frombuffer(data, '<u2').astype(np.uint32) << 16
      return sparsity.shaped(halves.view(np.float32), like)
    case config.Compression.TOP_K:
      return _told_places(cfg, data, like)
    case config.Compression.RANDOM_K:
      seed = jnp.asarray(np.frombuffer(data[:_SEED_BYTES], '<u4'))
      is_sent = jax.device_get(sparsity.drawn(seed, like, cfg.top_fraction))
      places = np.flatnonzero(_flat(is_sent))
      return _scattered(places, data[_SEED_BYTES:], like)
  leaves, tree = jax.tree.flatten(like)
  end = 4 * len(leaves)
  if cfg.method is config.Compression.SIGN:
    levels = bit_packing.unpacked_trits(data[end:], size) - 1
  else:
    codes = bit_packing.unpacked(data[end:], size, _bits(cfg))
    levels = _levels(codes, _bits(cfg))
  return quantisation.Quantised(
    levels=sparsity.shaped(levels.astype(np.int8), like),
    scales=tree.unflatten(list(np.frombuffer(data[:end], '<f4'))),
  )


def _told_places(
  cfg: config.CompressionConfig, data: bytes, like: PyTree
) -> sparsity.Chosen:
  size = sparsity.count(like)
  k = sparsity.num_sent(size, cfg.top_fraction)
  end = bit_packing.num_bytes(k, _place_bits(size))
  places = bit_packing.unpacked(data[:end], k, _place_bits(size))
  return _scattered(places, data[end:], like)


def _scattered(
  places: np.ndarray, data: bytes, like: PyTree
) -> sparsity.Chosen:
  """Numbers at their places, ascending."""
  size = sparsity.count(like)
  values, is_sent = np.zeros(size, np.float32), np.zeros(size, bool)
  values[places] = np.frombuffer(data, '<f4')
  is_sent[places] = True
  return sparsity.Chosen(
    sparsity.shaped(values, like), sparsity.shaped(is_sent, like)
  )


def _codes(levels: np.ndarray, bits: int) -> np.ndarray:
  """Levels from 0; of one bit, -1 is 0."""
  return (levels + 1) // 2 if bits == 1 else levels + _outer(bits)


def _levels(codes: np.ndarray, bits: int) -> np.ndarray:
  codes = codes.astype(np.int64)
  return 2 * codes - 1 if bits == 1 else codes - _outer(bits)


def _outer(bits: int) -> int:
  return quantisation.largest_level(bits)


def _flat(tree: PyTree) -> np.ndarray:
  leaves = [np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)]
  return np.concatenate(leaves)


def _raw_bytes(tree: PyTree) -> int:
  return sum(
    math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize
    for leaf in jax.tree.leaves(tree)
  )


def _from_raw(data: bytes, like: PyTree) -> PyTree:
  leaves, tree = jax.tree.flatten(like)
  first, found = 0, []
  for leaf in leaves:
    end = first + _raw_bytes(leaf)
    values = np.frombuffer(data[first:end], leaf.dtype).reshape(leaf.shape)
    found.append(values)
    first = end
  return tree.unflatten(found)
