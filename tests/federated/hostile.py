"""Clients that send garbage in place of what they learned."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr.federated import algorithm


def flipped(leaf):
  return -10.0 * leaf


def large(leaf):
  waves = np.cos(np.arange(leaf.size)).reshape(leaf.shape)
  return jnp.asarray(1e3 * waves, leaf.dtype)


def overflowing(leaf):
  """So large that its square is not finite."""
  return jnp.full_like(leaf, 1e30)


def broken(leaf):
  return jnp.full_like(leaf, jnp.nan)


def infinite(leaf):
  return jnp.full_like(leaf, jnp.inf)


def hostile(
  method: algorithm.Algorithm,
  clients: Sequence[int],
  garbage: Callable[[jax.Array], jax.Array],
) -> algorithm.Algorithm:
  """A stateless algorithm of which these clients send garbage."""

  def start(broadcast, participant, memory):
    state = method.start(broadcast, participant, memory)
    return state._replace(memory=jnp.asarray(participant.client))

  def finish(broadcast, state):
    message, _ = method.finish(broadcast, state._replace(memory=()))
    is_hostile = jnp.isin(state.memory, jnp.array(clients))
    update = jax.tree.map(
      lambda leaf: jnp.where(is_hostile, garbage(leaf), leaf), message.update
    )
    return message._replace(update=update), ()

  return method._replace(start=start, finish=finish)
