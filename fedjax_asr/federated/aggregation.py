"""Sums of clients' messages, and the mean that they come to."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from fedjax_asr.federated import algorithm


def nothing(message: algorithm.Message) -> algorithm.Sums:
  """The sum of no messages of these shapes."""
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), message)
  return algorithm.Sums(*zeros)


def without(
  messages: algorithm.Message, is_out: Bool[Array, ' clients']
) -> algorithm.Message:
  """Messages of which some weigh and say nothing."""
  return jax.vmap(emptied)(messages, is_out)


def emptied(
  message: algorithm.Message, is_out: Bool[Array, '']
) -> algorithm.Message:
  """The message, or one that weighs and says nothing."""
  return jax.tree.map(lambda leaf: jnp.where(is_out, 0, leaf), message)


def summed(messages: algorithm.Message) -> algorithm.Sums:
  """Of messages whose outermost axis is the clients.

  Integers are what secure aggregation sends: they are added up as they are,
  whatever their clients weigh, and wrap around.
  """

  def weighted(updates):
    if jnp.issubdtype(updates.dtype, jnp.integer):
      return updates.sum(0, dtype=updates.dtype)
    # Highest: a GPU would round updates to TF32.
    return jnp.tensordot(messages.weight, updates, 1, precision='highest')

  return algorithm.Sums(
    update=jax.tree.map(weighted, messages.update),
    extra=jax.tree.map(lambda leaf: leaf.sum(0), messages.extra),
    weight=messages.weight.sum(),
  )


def mean(sums: algorithm.Sums) -> algorithm.Update:
  """The weighted mean of updates; zero where nobody weighs anything."""
  scale = 1.0 / jnp.where(sums.weight > 0, sums.weight, 1.0)
  return jax.tree.map(lambda leaf: leaf * scale, sums.update)
