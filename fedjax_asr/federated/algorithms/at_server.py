"""What a client finds at the server's model, beside its local steps.

Over all that it trains on in the round, at the server's model throughout. It
costs a second forward pass of each step, a gradient a second backward pass too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedjax_asr.federated import algorithm, cohort, local_gradient
from fedjax_asr.models import model


class AtServer(NamedTuple):
  """A client's memory in the middle of its steps.

  own: what the algorithm keeps there.
  sums: of what is measured, so far.
  """

  own: algorithm.Memory
  sums: Any


class Measure(NamedTuple):
  """Something that adds up over batches.

  nothing(params) -> the sums over no batch
  of_batch(broadcast, batch, key) -> the sums over one; `key` is the step's
  """

  nothing: Callable[[model.Params], Any]
  of_batch: Callable[[algorithm.Broadcast, cohort.Batch, jax.Array], Any]


class Score(NamedTuple):
  """A number of each client, of what it measured by its last step."""

  measure: Measure
  of_client: Callable[[algorithm.ClientState], Float[Array, '']]


def measured(
  base: algorithm.Algorithm, measure: Measure
) -> algorithm.Algorithm:
  """`base`, whose clients' memory is an `AtServer` until `finish`.

  `finish` is still that of `base`, and gives back `AtServer` for a memory.
  """

  def start(broadcast, participant, memory):
    state = base.start(broadcast, participant, memory)
    found = AtServer(state.memory, measure.nothing(broadcast.params))
    return state._replace(memory=found)

  def step(broadcast, state, batch, key):
    own, sums = state.memory
    moved = base.step(broadcast, state._replace(memory=own), batch, key)
    more = measure.of_batch(broadcast, batch, key)
    sums = jax.tree.map(jnp.add, sums, more)
    return moved._replace(memory=AtServer(moved.memory, sums))

  return base._replace(start=start, step=step)


def losses(gradient: local_gradient.GradientFn) -> Measure:
  """The loss, by the masks and the dropout of the step."""

  def of_batch(broadcast, batch, key):
    # The gradient itself is not computed: nothing reads it.
    _, (_, totals) = gradient(
      broadcast.params, broadcast.norm_state, batch, key
    )
    return totals.loss

  return Measure(lambda params: jnp.zeros(()), of_batch)


def gradients(gradient: local_gradient.GradientFn) -> Measure:
  """The gradient of the summed loss, by the step's masks and dropout."""

  def of_batch(broadcast, batch, key):
    slope, (_, totals) = gradient(
      broadcast.params, broadcast.norm_state, batch, key
    )
    count = totals.num_utterances
    return jax.tree.map(
      lambda mean: jnp.where(count > 0, count * mean, 0.0), slope
    )

  return Measure(lambda params: jax.tree.map(jnp.zeros_like, params), of_batch)


def per_utterance(state: algorithm.ClientState) -> Any:
  """Means of the sums; zero without a usable utterance."""
  count: Float[Array, ''] = jnp.maximum(state.totals.num_utterances, 1)
  return jax.tree.map(lambda leaf: leaf / count, state.memory.sums)


def loss_score(gradient: local_gradient.GradientFn) -> Score:
  """The mean loss of an utterance."""
  return Score(losses(gradient), per_utterance)
