"""What a client finds at the server's model, beside its local steps.

Over all that it trains on in the round: the batches, masks and dropout are its
steps', the model is the server's throughout. It costs a second forward pass of
each step, and where gradients are wanted a second backward pass.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedjax_asr.federated import algorithm, local_gradient


class AtServer(NamedTuple):
  """A client's memory in the middle of its steps.

  own: what the algorithm keeps there.
  loss: summed over utterances so far.
  gradient: of that sum; () where it is not wanted.
  """

  own: algorithm.Memory
  loss: Float[Array, '']
  gradient: algorithm.Memory


def measured(
  base: algorithm.Algorithm,
  gradient: local_gradient.GradientFn,
  *,
  with_gradient: bool,
) -> algorithm.Algorithm:
  """`base`, whose clients' memory is an `AtServer` until `finish`.

  `finish` is still that of `base`, and gives back `AtServer` for a memory.
  """

  def start(broadcast, participant, memory):
    state = base.start(broadcast, participant, memory)
    zeros = jax.tree.map(jnp.zeros_like, broadcast.params)
    found = AtServer(
      own=state.memory,
      loss=jnp.zeros(()),
      gradient=zeros if with_gradient else (),
    )
    return state._replace(memory=found)

  def step(broadcast, state, batch, key):
    found = state.memory
    moved = base.step(broadcast, state._replace(memory=found.own), batch, key)
    slope, (_, totals) = gradient(
      broadcast.params, broadcast.norm_state, batch, key
    )
    count = totals.num_utterances
    added = AtServer(
      own=moved.memory,
      loss=found.loss + totals.loss,
      gradient=jax.tree.map(
        lambda total, mean: total + jnp.where(count > 0, count * mean, 0.0),
        found.gradient,
        slope if with_gradient else (),
      ),
    )
    return moved._replace(memory=added)

  return base._replace(start=start, step=step)


def mean_loss(state: algorithm.ClientState) -> Float[Array, '']:
  """Per utterance; 0 without a usable one."""
  return state.memory.loss / jnp.maximum(state.totals.num_utterances, 1)


def mean_gradient(state: algorithm.ClientState) -> algorithm.Memory:
  """Of the mean loss; zero without a usable utterance."""
  count = jnp.maximum(state.totals.num_utterances, 1)
  return jax.tree.map(lambda leaf: leaf / count, state.memory.gradient)
