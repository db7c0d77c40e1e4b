"""FedBuff (Nguyen et al. 2022, Algorithm 1): buffered asynchronous averaging.

The server steps whenever its buffer is full; who fills it, and how stale each
is, `buffered` simulates. What is stale starts from what the server sent then:
its values, and the learning rate of that round.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient
from fedjax_asr.federated.algorithms import fedavg
from fedjax_asr.models import model


class Versions(NamedTuple):
  """What the server sent in the rounds before this one, [rounds, ...].

  Latest first. Those before the first round are zeros, which nobody reads:
  nobody is staler than there are rounds.
  """

  params: model.Params
  norm_state: model.NormState
  learning_rate: Float[Array, '*rounds']


def fedbuff(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  weighting: config.Weighting,
  settings: config.FedBuffConfig,
  norm_state: PyTree,
) -> algorithm.Algorithm:
  """FedAvg of updates that began some rounds ago.

  An update of staleness s weighs (1 + s) ** -exponent of what it would (section
  5, with exponent 1/2). It is the mean by these weights that the server steps
  along, so that staleness which all share discounts nothing.

  Args:
    gradient: of a local step.
    optimizer: of a client, for a learning rate.
    weighting: of clients of equal staleness in the mean.
    settings: staleness, its cap and exponent.
    norm_state: of the model, or the shapes of it.
  """
  base = fedavg.fedavg(gradient, optimizer, weighting)

  def init_server(params):
    now = Versions(params, norm_state, jnp.zeros(()))
    rounds = settings.max_staleness
    return jax.tree.map(
      lambda leaf: jnp.zeros((rounds, *leaf.shape), leaf.dtype), now
    )

  def start(broadcast, participant, memory):
    staleness = jnp.asarray(participant.staleness)
    state = base.start(sent(broadcast, staleness), participant, memory)
    return state._replace(memory=staleness)

  def step(broadcast, state, batch, key):
    return base.step(sent(broadcast, state.memory), state, batch, key)

  def finish(broadcast, state):
    message, _ = base.finish(sent(broadcast, state.memory), state)
    discount = (1.0 + state.memory) ** -settings.staleness_exponent
    return message._replace(weight=discount * message.weight), ()

  def combine(broadcast, sums):
    update, before = base.combine(broadcast, sums)
    after = jax.tree.map(
      lambda now, rounds: jnp.concatenate([now[None], rounds[:-1]]),
      _now(broadcast),
      before,
    )
    return update, after

  return base._replace(
    init_server=init_server,
    start=start,
    step=step,
    finish=finish,
    combine=combine,
    shares_start=False,
  )


def sent(
  broadcast: algorithm.Broadcast, staleness: jax.Array
) -> algorithm.Broadcast:
  """What the server sent so many rounds ago.

  Without its memory, as an attack has none, nobody is stale.
  """
  if broadcast.memory == ():
    return broadcast
  then = jax.tree.map(
    lambda now, rounds: jnp.where(staleness == 0, now, rounds[staleness - 1]),
    _now(broadcast),
    broadcast.memory,
  )
  return broadcast._replace(**then._asdict())


def _now(broadcast: algorithm.Broadcast) -> Versions:
  return Versions(
    broadcast.params, broadcast.norm_state, broadcast.learning_rate
  )
