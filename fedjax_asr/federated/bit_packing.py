"""Small whole numbers, packed into bytes one behind the other."""

import numpy as np
from jaxtyping import Integer, UInt8

Numbers = Integer[np.ndarray, ' numbers']
Packed = UInt8[np.ndarray, ' bytes']

# 3 ** 5 = 243 of the 256 values of a byte.
TRITS = 5
_POWERS = 3 ** np.arange(TRITS)


def num_bytes(count: int, bits: int) -> int:
  """That so many numbers of `bits` bits take."""
  return -(-count * bits // 8)


def packed(numbers: Numbers, bits: int) -> Packed:
  """Numbers below 2 ** bits, lowest bit first; the last byte ends in zeros."""
  places = np.arange(bits, dtype=np.uint32)
  flags = (numbers.astype(np.uint32)[:, None] >> places) & 1
  return np.packbits(flags.astype(np.uint8), bitorder='little')


def unpacked(data: bytes, count: int, bits: int) -> Numbers:
  """The first `count` of them."""
  flags = np.unpackbits(
    np.frombuffer(data, np.uint8), count=count * bits, bitorder='little'
  )
  places = np.arange(bits, dtype=np.uint32)
  flags = flags.reshape(count, bits).astype(np.uint32)
  return (flags << places).sum(1, dtype=np.uint32)


def trit_bytes(count: int) -> int:
  """That so many numbers of three values take."""
  return -(-count // TRITS)


def packed_trits(numbers: Numbers) -> Packed:
  """Numbers below 3, five to a byte."""
  padded = np.pad(numbers.astype(np.int64), (0, -len(numbers) % TRITS))
  return (padded.reshape(-1, TRITS) @ _POWERS).astype(np.uint8)


def unpacked_trits(data: bytes, count: int) -> Numbers:
  """The first `count` of them."""
  whole = np.frombuffer(data, np.uint8).astype(np.int64)
  return (whole[:, None] // _POWERS % 3).ravel()[:count]
