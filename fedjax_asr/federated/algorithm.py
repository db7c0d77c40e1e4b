"""A federated algorithm as data: pure functions of a client, and of the server.

One path for every algorithm: `block` maps it over the clients of a round,
`client` runs it for one, which is what an attack observes. The round knows no
algorithm by name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr.federated import cohort
from fedjax_asr.models import model

# A pytree that an algorithm keeps from round to round; () keeps nothing.
Memory = Any


class Update(NamedTuple):
  """Server's values minus a client's; zero where no step was real."""

  params: model.Params
  norm_state: model.NormState


class Broadcast(NamedTuple):
  """What is the same for all clients of a round.

  memory: the server's, of the algorithm.
  """

  params: model.Params
  norm_state: model.NormState
  memory: Memory
  learning_rate: Float[Array, '']


class Participant(NamedTuple):
  """Who a client is in a round.

  client: its index in the population; -1: padding of a block.
  staleness: rounds since the server's values that it starts from.
  """

  client: Int[cohort.AnyArray, '']
  staleness: Int[cohort.AnyArray, ''] = np.zeros((), np.int32)


class Totals(NamedTuple):
  """Sums over what a client trained on; utterances without alignment count
  in `num_infeasible` only."""

  loss: Float[Array, '']
  gradient_norm: Float[Array, '']
  num_steps: Float[Array, '']
  num_utterances: Float[Array, '']
  num_frames: Float[Array, '']
  num_infeasible: Float[Array, '']


class ClientState(NamedTuple):
  """A client in the middle of its local steps.

  first_loss, last_loss: mean loss of the first and the last real batch.
  memory: what of the algorithm's memory of this client may change on the way;
    it differs between clients from the start, as nothing else need.
  """

  params: model.Params
  norm_state: model.NormState
  opt_state: Any
  totals: Totals
  first_loss: Float[Array, '']
  last_loss: Float[Array, '']
  memory: Memory


class Message(NamedTuple):
  """What a client sends; the server adds up `weight * update`.

  extra: what the algorithm adds up besides, without weights; () for most.
  """

  update: Update
  extra: Any
  weight: Float[Array, '']


class Sums(NamedTuple):
  """Of a round's messages, as they came out of the channel."""

  update: Update
  extra: Any
  weight: Float[Array, '']


class Algorithm(NamedTuple):
  """One way of learning together, for one client and for the server.

  init_server(params, norm_state) -> the server's memory before the first round
  init_client(params, norm_state) -> a client's before its first round, of what
    the server holds when it is first drawn
  start(broadcast, participant, memory) -> ClientState
  step(broadcast, state, batch, key) -> ClientState; a batch without a usable
    utterance returns the state as it was, but for the counts
  finish(broadcast, state) -> (Message, the client's memory)
  combine(broadcast, sums) -> (Update along which the server steps, its memory)
  shares_start: all clients start from the same values (but for their memory),
    so that the first step may be computed on shared weights
  told(memory) -> what of the server's memory is sent to clients
  personal(params, norm_state, memory) -> the values that a client recognises
    its own speech with, of the server's values and its memory; None: with the
    server's
  """

  init_server: Callable[[model.Params, model.NormState], Memory]
  init_client: Callable[[model.Params, model.NormState], Memory]
  start: Callable[[Broadcast, Participant, Memory], ClientState]
  step: Callable[[Broadcast, ClientState, cohort.Batch, jax.Array], ClientState]
  finish: Callable[[Broadcast, ClientState], tuple[Message, Memory]]
  combine: Callable[[Broadcast, Sums], tuple[Update, Memory]]
  shares_start: bool
  told: Callable[[Memory], Any] = lambda memory: memory
  personal: (
    Callable[
      [model.Params, model.NormState, Memory],
      tuple[model.Params, model.NormState],
    ]
    | None
  ) = None
