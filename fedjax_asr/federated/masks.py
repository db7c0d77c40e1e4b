"""Masks that hide a client's message and cancel in the sum, on the devices.

Bonawitz et al. 2017: a client adds what its own seed expands to, and for each
neighbour what their common seed expands to, the one with a plus and the other
with a minus. Numbers are modulo 2^32. The generator is counter-based, threefry,
so that a mask is a function of its seed.
"""

from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree, UInt32

from fedjax_asr.federated import cohort

PLUS, MINUS = 1, 2**32 - 1


class ClientMasks(NamedTuple):
  """What clients agreed on; axes stand before those given.

  signs: `PLUS` or `MINUS`; 0 where there is no such neighbour.
  is_sender: a place of a block may be padding.
  """

  own: UInt32[cohort.AnyArray, '*axes 2']
  pairs: UInt32[cohort.AnyArray, '*axes neighbours 2']
  signs: UInt32[cohort.AnyArray, '*axes neighbours']
  is_sender: Bool[cohort.AnyArray, '*axes']


class Recovered(NamedTuple):
  """What the server found of the masks in the sum: seeds and their factors.

  They are shared out over the devices, the first `num_terms` of each are real.
  is_abandoned: too few sent; the sum stays what it is, and is not used.
  """

  seeds: UInt32[cohort.AnyArray, '*devices terms 2']
  factors: UInt32[cohort.AnyArray, '*devices terms']
  num_terms: Int[cohort.AnyArray, '*devices']
  is_abandoned: Bool[cohort.AnyArray, '*devices']


class Masks(NamedTuple):
  """Of a round; outermost axis the devices, then those of `cohort.Cohort`."""

  clients: ClientMasks
  recovered: Recovered


def expanded(
  seed: UInt32[cohort.AnyArray, '2'], size: int
) -> UInt32[Array, ' size']:
  """A seed's mask."""
  key = jax.random.wrap_key_data(jnp.asarray(seed), impl='threefry2x32')
  return jax.random.bits(key, (size,), jnp.uint32)


def hidden(message: PyTree, masks: ClientMasks) -> PyTree:
  """One client's numbers with its masks; zero where nobody sends."""
  flat, like_message = jax.flatten_util.ravel_pytree(message)
  seeds = jnp.concatenate([masks.own[None], masks.pairs])
  factors = jnp.concatenate([jnp.full(1, PLUS, jnp.uint32), masks.signs])

  def add(index, total):
    return total + factors[index] * expanded(seeds[index], flat.size)

  total = jax.lax.fori_loop(0, len(seeds), add, flat)
  return like_message(jnp.where(masks.is_sender, total, 0))


def found(recovered: Recovered, like: PyTree) -> PyTree:
  """What a device's share of the seeds adds up to, as `like` is shaped."""
  flat, like_message = jax.flatten_util.ravel_pytree(like)

  def add(index, total):
    mask = expanded(recovered.seeds[index], flat.size)
    return total + recovered.factors[index] * mask

  # As many as there are and not as there may be: most rounds lose few.
  start = jnp.zeros_like(flat)
  return like_message(jax.lax.fori_loop(0, recovered.num_terms, add, start))
