"""What a server sent in its last rounds, for clients that are stale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from fedjax_asr.federated import algorithm
from fedjax_asr.models import model


class Versions(NamedTuple):
  """A server's memory of the rounds before this one, [rounds, ...].

  Latest first. Those before the first round are zeros, which nobody reads:
  nobody is staler than there are rounds.
  """

  params: model.Params
  norm_state: model.NormState
  learning_rate: Float[Array, '*rounds']


def none(params: model.Params, norm_state: PyTree, num_rounds: int) -> Versions:
  """Before the first round; only shapes are read."""
  now = Versions(params, norm_state, jnp.zeros(()))
  return jax.tree.map(
    lambda leaf: jnp.zeros((num_rounds, *leaf.shape), leaf.dtype), now
  )


def after(broadcast: algorithm.Broadcast) -> Versions:
  """With this round's, and without the oldest."""
  return jax.tree.map(
    lambda now, before: jnp.concatenate([now[None], before[:-1]]),
    _now(broadcast),
    broadcast.memory,
  )


def sent(
  broadcast: algorithm.Broadcast, staleness: jax.Array
) -> algorithm.Broadcast:
  """What the server sent so many rounds ago."""
  then = jax.tree.map(
    lambda now, before: jnp.where(staleness == 0, now, before[staleness - 1]),
    _now(broadcast),
    broadcast.memory,
  )
  return broadcast._replace(**then._asdict())


def _now(broadcast: algorithm.Broadcast) -> Versions:
  return Versions(
    broadcast.params, broadcast.norm_state, broadcast.learning_rate
  )
