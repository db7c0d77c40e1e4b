"""SCAFFOLD (Karimireddy et al. 2020, Algorithm 1).

Control variates, the server's c and a client's c_i, take out of each local
gradient what is the client's alone.
"""

import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.federated import aggregation, algorithm, local_gradient
from fedjax_asr.federated.algorithms import at_server, fedavg


def scaffold(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  weighting: config.Weighting,
  variate: config.ControlVariate,
  num_clients: int,
) -> algorithm.Algorithm:
  """Local steps along g - c_i + c, and c the mean of c_i over the population.

  `optimizer` is SGD. A client's clipping is of the corrected gradient, so that
  a c_i of `steps` is made of clipped steps, one of `server_gradient` of
  gradients as they are. The channel is for the update alone: what is clipped or
  coded there leaves no trace in c_i, whose change is sent as it is. Without a
  usable utterance c_i stays and nothing is sent.
  """

  def correct(slope, state, broadcast):
    return jax.tree.map(
      lambda g, own, c: g - own + c, slope, state.memory, broadcast.memory
    )

  base = fedavg.fedavg(gradient, optimizer, weighting, correct)
  by_steps = variate is config.ControlVariate.STEPS
  if not by_steps:
    base = at_server.measured(base, at_server.gradients(gradient))

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    if by_steps:
      own = memory
      after = _of_steps(broadcast, state, message.update.params)
    else:
      own, after = memory.own, at_server.per_utterance(state)
    moved = state.totals.num_steps > 0
    change = jax.tree.map(
      lambda new, old: jnp.where(moved, new - old, 0.0), after, own
    )
    after = jax.tree.map(jnp.add, own, change)
    return message._replace(extra=change), after

  def combine(broadcast, sums):
    c = jax.tree.map(
      lambda c, change: c + change / num_clients, broadcast.memory, sums.extra
    )
    return aggregation.mean(sums), c

  return base._replace(
    init_server=lambda params, norm_state: jax.tree.map(jnp.zeros_like, params),
    init_client=lambda params, _: jax.tree.map(jnp.zeros_like, params),
    finish=finish,
    combine=combine,
  )


def _of_steps(broadcast, state, update):
  """Option II: c_i of the steps taken."""
  length = jnp.maximum(state.totals.num_steps, 1) * broadcast.learning_rate
  return jax.tree.map(
    lambda own, c, moved: own - c + moved / length,
    state.memory,
    broadcast.memory,
    update,
  )
