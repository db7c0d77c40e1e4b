"""Short vectors whose inner products are those of whole updates.

A count sketch (Charikar, Chen and Farach-Colton 2002): every number of an
update gets a sign and is added to one of `SIZE` places. What a round has of a
client is then small, whatever the model.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

# The standard error of a cosine is 1 / sqrt(SIZE) at most.
SIZE = 4096


def sketched(update: PyTree) -> Float[Array, ' size']:
  """Of an update, the same function in every round and client.

  Unbiased over the signs; an update of at most `SIZE` numbers is kept as it is,
  but for the signs.
  """
  found = jnp.zeros(SIZE)
  first = 0
  for leaf in jax.tree.leaves(update):
    found += jnp.roll(_folded(leaf.ravel(), first), first % SIZE)
    first += leaf.size
  return found


def cosine(
  one: Float[Array, '*axes size'], other: Float[Array, ' size']
) -> Float[Array, '*axes']:
  """Of the angle between what was sketched; 0 where one of them is zero."""
  scale = jnp.linalg.norm(one, axis=-1) * jnp.linalg.norm(other)
  product = jnp.matmul(one, other, precision='highest')
  return jnp.where(scale > 0, product / jnp.where(scale > 0, scale, 1), 0.0)


def _folded(values, first: int):
  """Sums over strides of `SIZE`, each number with the sign of its place."""
  signed = values * _signs(first, values.size)
  padded = jnp.pad(signed, (0, -values.size % SIZE))
  return padded.reshape(-1, SIZE).sum(0)


def _signs(first: int, count: int):
  """A hash of each place (the finaliser of MurmurHash3): no memory, fused."""
  bits = jnp.arange(count, dtype=jnp.uint32) + jnp.uint32(first)
  for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
    bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
  return 1.0 - 2.0 * ((bits >> 16) & 1).astype(jnp.float32)
