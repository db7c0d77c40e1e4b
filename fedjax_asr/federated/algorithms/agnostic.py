"""Agnostic federated learning (Mohri et al. 2019, Algorithm 1).

The model for the worst mixture of clients: weights over the population climb
where losses are large, the model descends on the loss so weighted. Of a cohort
and not of all, as in DRFA (Deng et al. 2020).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.federated import aggregation, algorithm, local_gradient
from fedjax_asr.federated.algorithms import at_server, fedavg, simplex


def agnostic(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  learning_rate: float,
  num_clients: int,
) -> algorithm.Algorithm:
  """The mean of updates weighted by lambda, which is the server's memory.

  lambda goes by `learning_rate` times the losses of the cohort's clients, each
  at the server's model over all that the client trains on, times the population
  over the cohort, and from there back to the simplex. Weights of a cohort are
  lambda over its sum there; where that is zero the model stays. Losses are sent
  as they are, whatever the channel does to updates; a clipped client is no less
  in lambda.
  """
  base = at_server.measured(
    fedavg.fedavg(gradient, optimizer, config.Weighting.UNIFORM),
    at_server.losses(gradient),
  )

  def start(broadcast, participant, memory):
    del memory
    client = jnp.asarray(participant.client)
    return base.start(broadcast, participant, client)

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    loss = message.weight * at_server.per_utterance(state)
    losses = jnp.zeros(num_clients).at[memory.own].set(loss)
    return message._replace(
      weight=message.weight * broadcast.memory[memory.own],
      extra=(losses, message.weight),
    ), ()

  def combine(broadcast, sums):
    losses, present = sums.extra
    weights = _climbed(broadcast.memory, losses, present, learning_rate)
    return aggregation.mean(sums), weights

  return base._replace(
    init_server=lambda params, norm_state: jnp.full(
      num_clients, 1 / num_clients, jnp.float32
    ),
    start=start,
    finish=finish,
    combine=combine,
  )


def _climbed(
  weights: Float[Array, ' population'],
  losses: Float[Array, ' population'],
  present: Float[Array, ''],
  learning_rate: float,
) -> Float[Array, ' population']:
  """Weights after a round; as they were where nobody told a loss."""
  scale = learning_rate * len(weights) / jnp.maximum(present, 1)
  climbed = simplex.projected(weights + scale * losses)
  return jnp.where(present > 0, climbed, weights)
