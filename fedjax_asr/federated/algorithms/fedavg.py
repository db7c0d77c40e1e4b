"""FedAvg (McMahan et al. 2017, Algorithm 1), on which others are built.

With an optimizer at the server, FedOpt (Reddi et al. 2021).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config
from fedjax_asr.federated import (
  aggregation,
  algorithm,
  local_gradient,
)
from fedjax_asr.federated.algorithms import local_steps

# (gradient, state, broadcast) -> the gradient that the optimizer gets.
Correct = Callable[..., optax.Updates]
# learning rate -> the client's optimizer.
OptimizerFn = Callable[[jax.Array], optax.GradientTransformation]


def fedavg(
  gradient: local_gradient.GradientFn,
  optimizer: OptimizerFn,
  weighting: config.Weighting,
  correct: Correct | None = None,
) -> algorithm.Algorithm:
  """Local steps of the client's optimizer; the mean of what they moved.

  Args:
    gradient: of a local step.
    optimizer: of a client, for a learning rate.
    weighting: of clients in the mean.
    correct: changes each gradient before the optimizer sees it.
  """

  def start(broadcast, participant, memory):
    del participant
    return algorithm.ClientState(
      params=broadcast.params,
      norm_state=broadcast.norm_state,
      opt_state=optimizer(broadcast.learning_rate).init(broadcast.params),
      totals=local_steps.no_totals(),
      first_loss=jnp.zeros(()),
      last_loss=jnp.zeros(()),
      memory=memory,
    )

  def step(broadcast, state, batch, key):
    slope, (norm_state, totals) = gradient(
      state.params, state.norm_state, batch, key
    )
    totals = local_steps.counted(totals, slope)
    if correct is not None:
      slope = correct(slope, state, broadcast)
    updates, opt_state = optimizer(broadcast.learning_rate).update(
      slope, state.opt_state, state.params
    )
    moved = state._replace(
      params=jax.tree.map(jnp.add, state.params, updates),
      norm_state=norm_state,
      opt_state=opt_state,
    )
    return local_steps.kept_where_real(moved, state, totals)

  def finish(broadcast, state):
    message = algorithm.Message(
      update=local_steps.delta(broadcast, state),
      extra=(),
      weight=local_steps.weight(weighting, state.totals),
    )
    return message, state.memory

  return algorithm.Algorithm(
    init_server=lambda params, norm_state: (),
    init_client=lambda params, norm_state: (),
    start=start,
    step=step,
    finish=finish,
    combine=lambda broadcast, sums: (
      aggregation.mean(sums),
      broadcast.memory,
    ),
    shares_start=True,
  )
