"""FedAvg (McMahan et al. 2017, Algorithm 1), on which others are built.

With an optimizer at the server, FedOpt (Reddi et al. 2021).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config
from fedjax_asr.federated import aggregation, algorithm, local_gradient

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
      totals=no_totals(),
      first_loss=jnp.zeros(()),
      last_loss=jnp.zeros(()),
      memory=memory,
    )

  def step(broadcast, state, batch, key):
    slope, (norm_state, totals) = gradient(
      state.params, state.norm_state, batch, key
    )
    totals = counted(totals, slope)
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
    return kept_where_real(moved, state, totals)

  def finish(broadcast, state):
    message = algorithm.Message(
      update=delta(broadcast, state),
      extra=(),
      weight=weight(weighting, state.totals),
    )
    return message, state.memory

  return algorithm.Algorithm(
    init_server=lambda params: (),
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


def delta(
  broadcast: algorithm.Broadcast, state: algorithm.ClientState
) -> algorithm.Update:
  """What the local steps moved: server minus local values."""
  return jax.tree.map(
    jnp.subtract,
    algorithm.Update(broadcast.params, broadcast.norm_state),
    algorithm.Update(state.params, state.norm_state),
  )


def no_totals() -> algorithm.Totals:
  """Before the first step."""
  return algorithm.Totals(*[jnp.zeros(())] * len(algorithm.Totals._fields))


def counted(
  totals: algorithm.Totals, gradient: optax.Updates
) -> algorithm.Totals:
  """A batch's totals, as one step if it was one."""
  real = totals.num_utterances > 0
  return totals._replace(
    # No way back through a root, whose slope at zero is infinite.
    gradient_norm=jax.lax.stop_gradient(
      jnp.where(real, optax.tree.norm(gradient), 0.0)
    ),
    num_steps=real.astype(jnp.float32),
  )


def kept_where_real(
  moved: algorithm.ClientState,
  state: algorithm.ClientState,
  totals: algorithm.Totals,
) -> algorithm.ClientState:
  """`moved` where the step had a usable utterance, else `state`; counted."""
  real = totals.num_utterances > 0
  is_first = state.totals.num_steps == 0
  loss = totals.loss / jnp.maximum(totals.num_utterances, 1)
  moved = moved._replace(
    first_loss=jnp.where(is_first, loss, state.first_loss), last_loss=loss
  )
  kept = jax.tree.map(lambda new, old: jnp.where(real, new, old), moved, state)
  return kept._replace(totals=jax.tree.map(jnp.add, state.totals, totals))


def weight(weighting: config.Weighting, totals: algorithm.Totals) -> jax.Array:
  """Of a client in the round's mean; 0 without a usable utterance."""
  match weighting:
    case config.Weighting.UTTERANCES:
      return totals.num_utterances
    case config.Weighting.FRAMES:
      return totals.num_frames
    case config.Weighting.UNIFORM:
      return (totals.num_utterances > 0).astype(jnp.float32)
    case config.Weighting.STEPS:
      return totals.num_steps
