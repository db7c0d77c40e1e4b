"""What a server holds between rounds, and its step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from fedjax_asr import config
from fedjax_asr.federated import (
  algorithm,
  algorithms,
  channel,
  channels,
  optimizers,
)
from fedjax_asr.models import model


class Values(NamedTuple):
  """What a recogniser needs."""

  params: model.Params
  norm_state: model.NormState


class ServerState(NamedTuple):
  """All that a checkpoint holds of the server.

  round: the number of rounds behind it.
  memory: the algorithm's.
  average: of the values after each round behind it; () where none is kept.
  channel_state: of the channel, at the server.
  """

  params: model.Params
  norm_state: model.NormState
  opt_state: optax.OptState
  round: Int[Array, '']
  memory: algorithm.Memory = ()
  average: Values | tuple[()] = ()
  channel_state: channel.State = ()


def initial_state(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  key: jax.Array,
  num_clients: int,
) -> ServerState:
  """Freshly initialised parameters, server optimizer and memory.

  `num_clients`: in the population.
  """
  method = algorithms.make(
    acoustic, federated, config.AugmentConfig(), num_clients
  )
  line = channels.make(federated)
  params, norm_state = acoustic.init(key)
  optimizer = optimizers.server_optimizer(
    federated.server, federated.num_rounds
  )
  return ServerState(
    params=params,
    norm_state=norm_state,
    opt_state=optimizer.init(params),
    round=jnp.zeros((), jnp.int32),
    memory=method.init_server(params, norm_state),
    # The first round's values replace it.
    average=jax.tree.map(jnp.zeros_like, Values(params, norm_state))
    if federated.server.ema_decay
    else (),
    channel_state=line.init_server(params) if line.init_server else (),
  )


def evaluated(state: ServerState) -> Values:
  """The values to make use of: the average, where there is one."""
  return state.average or Values(state.params, state.norm_state)


def broadcast(
  state: ServerState,
  federated: config.FederatedConfig,
  scale: optimizers.Scale = None,
) -> algorithm.Broadcast:
  """What the server sends to the clients of its next round.

  `scale`: of the clients' learning rate.
  """
  return algorithm.Broadcast(
    params=state.params,
    norm_state=state.norm_state,
    memory=state.memory,
    learning_rate=optimizers.client_rate(federated, state.round, scale),
  )


def stepped(
  state: ServerState,
  update: algorithm.Update,
  memory: algorithm.Memory,
  optimizer: optax.GradientTransformation,
  ema_decay: float,
  channel_state: channel.State = (),
) -> ServerState:
  """After the round: a step of the optimizer along the clients' update.

  The average is the mean of the rounds so far, until these are so many that one
  in it would weigh less than 1 - `ema_decay`, and exponential from then on.
  """
  updates, opt_state = optimizer.update(
    update.params, state.opt_state, state.params
  )
  params = jax.tree.map(jnp.add, state.params, updates)
  norm_state = jax.tree.map(jnp.subtract, state.norm_state, update.norm_state)
  average = state.average
  if average:
    weight = jnp.maximum(1 / (state.round + 1), 1 - ema_decay)
    average = jax.tree.map(
      lambda mean, value: mean + weight * (value - mean),
      average,
      Values(params, norm_state),
    )
  return ServerState(
    params=params,
    norm_state=norm_state,
    opt_state=opt_state,
    round=state.round + 1,
    memory=memory,
    average=average,
    channel_state=channel_state,
  )
