"""FedNova (Wang et al. 2020, section 4, equations 7 to 9).

Clients that take many steps weigh no more than their weight: each sends its
update per step, and the server goes as many as they took in the mean.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.federated import aggregation, algorithm, local_gradient
from fedjax_asr.federated.algorithms import fedavg


def fednova(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  weighting: config.Weighting,
  momentum: float,
) -> algorithm.Algorithm:
  """The mean of updates over |a_i|, times the mean of |a_i|.

  `optimizer` is SGD with `momentum`, or 0; |a_i| is `accumulated` of it. Where
  all |a_i| are equal it is FedAvg. Clipped, noised and coded is the update over
  |a_i|: a clipping norm is of a step and not of all. A client's own clipping is
  of its gradients and changes no |a_i|. Batch norm's averages are FedAvg's.
  """
  base = fedavg.fedavg(gradient, optimizer, weighting)

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    length = accumulated(state.totals.num_steps, momentum)
    params = jax.tree.map(
      lambda moved: moved / jnp.where(length > 0, length, 1.0),
      message.update.params,
    )
    return message._replace(
      update=message.update._replace(params=params),
      extra=message.weight * length,
    ), memory

  def combine(broadcast, sums):
    length = sums.extra / jnp.where(sums.weight > 0, sums.weight, 1.0)
    update = aggregation.mean(sums)
    params = jax.tree.map(lambda leaf: length * leaf, update.params)
    return update._replace(params=params), broadcast.memory

  return base._replace(finish=finish, combine=combine)


def accumulated(
  num_steps: Float[Array, ''], momentum: float
) -> Float[Array, '']:
  """|a_i|: how often the update of so many steps holds a gradient, summed.

  Their number without momentum; with it, a gradient goes on in later steps.
  """
  going_on = momentum * (1 - momentum**num_steps) / (1 - momentum)
  return (num_steps - going_on) / (1 - momentum)
