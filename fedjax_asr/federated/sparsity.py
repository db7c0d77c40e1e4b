"""Some of an update's numbers in place of all.

Exactly as many as were asked for, so that the length of a message is known
before it is written. They are found by counting: no copy and no sort of the
whole update.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, UInt32

from fedjax_asr import streams

Seed = UInt32[Array, '2']
_Rank = UInt32[Array, '...']
# Of a seed that is sent, whatever JAX's default is.
_GENERATOR = 'threefry2x32'


class Chosen(NamedTuple):
  """An update of which a part is sent.

  values: in the shapes of the update; only those that are sent matter.
  is_sent: which are.
  seed: from which the receiver knows `is_sent`; () where it is told places.
  """

  values: PyTree
  is_sent: PyTree
  seed: Seed | tuple[()] = ()


def count(update: PyTree) -> int:
  """Numbers in all arrays."""
  return sum(leaf.size for leaf in jax.tree.leaves(update))


def num_sent(size: int, fraction: float) -> int:
  """Of `size` numbers; one at least."""
  return max(1, round(fraction * size))


def top(update: PyTree, fraction: float) -> Chosen:
  """The largest of the whole update; of equals, the first."""
  k = num_sent(count(update), fraction)
  # Non-negative float32 numbers are ordered as their bits are.
  ranks = jax.tree.map(
    lambda leaf: jax.lax.bitcast_convert_type(jnp.abs(leaf), jnp.uint32), update
  )
  return Chosen(update, _largest(ranks, k))


def random(
  update: PyTree, fraction: float, key: jax.Array, *, is_scaled: bool
) -> Chosen:
  """Any of the whole update, each as likely.

  `is_scaled`: so that the update is expected, by how many there are over how
  many are sent.
  """
  size = count(update)
  k = num_sent(size, fraction)
  key = streams.of_client(key, streams.ClientStream.CODING)
  seed = jax.random.bits(key, (2,), jnp.uint32)
  if is_scaled:
    update = jax.tree.map(lambda leaf: leaf * (size / k), update)
  return Chosen(update, drawn(seed, update, fraction), seed)


def drawn(seed: Seed, like: PyTree, fraction: float) -> PyTree:
  """Which numbers a seed stands for, in the shapes of `like`."""
  size = count(like)
  key = jax.random.wrap_key_data(seed, impl=_GENERATOR)
  ranks = shaped(jax.random.bits(key, (size,), jnp.uint32), like)
  return _largest(ranks, num_sent(size, fraction))


def filled(chosen: Chosen) -> PyTree:
  """Zero where nothing is sent."""
  return jax.tree.map(
    lambda leaf, is_sent: jnp.where(is_sent, leaf, 0.0),
    chosen.values,
    chosen.is_sent,
  )


def shaped(flat: jax.Array | np.ndarray, like: PyTree) -> PyTree:
  """A vector, cut into the shapes of a tree."""
  leaves, tree = jax.tree.flatten(like)
  first, cut = 0, []
  for leaf in leaves:
    cut.append(flat[first : first + leaf.size].reshape(leaf.shape))
    first += leaf.size
  return tree.unflatten(cut)


def _largest(ranks: PyTree, k: int) -> PyTree:
  """Which are the k largest of uint32 numbers; of equals, the first."""
  size = count(ranks)
  places = shaped(jnp.arange(size, dtype=jnp.uint32), ranks)
  smallest = _greatest(32, lambda bound: _number(ranks, _at_least(bound)) >= k)
  left = k - _number(ranks, lambda rank: rank > smallest)

  def is_tie(rank, place, bound):
    return (rank == smallest) & (place < bound)

  def fits(bound):
    found = jax.tree.map(lambda r, p: is_tie(r, p, bound).sum(), ranks, places)
    return _total(found) <= left

  bound = _greatest(size.bit_length(), fits)
  return jax.tree.map(
    lambda rank, place: (rank > smallest) | is_tie(rank, place, bound),
    ranks,
    places,
  )


def _at_least(bound: _Rank) -> Callable[[_Rank], jax.Array]:
  return lambda rank: rank >= bound


def _number(ranks: PyTree, holds: Callable[[_Rank], jax.Array]) -> jax.Array:
  """Of how many it holds."""
  return _total(jax.tree.map(lambda rank: holds(rank).sum(), ranks))


def _total(counts: PyTree) -> jax.Array:
  return jnp.asarray(sum(jax.tree.leaves(counts)))


def _greatest(num_bits: int, holds: Callable[[_Rank], jax.Array]) -> _Rank:
  """The greatest number for which something holds that holds for all below.

  Its bits are found one after another.
  """

  def with_bit(index, found):
    tried = found | (jnp.uint32(1) << (num_bits - 1 - index).astype(jnp.uint32))
    return jnp.where(holds(tried), tried, found)

  return jax.lax.fori_loop(0, num_bits, with_bit, jnp.uint32(0))
