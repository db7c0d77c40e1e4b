"""FedSGD (McMahan et al. 2017, section 2): a client sends its gradient."""

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config
from fedjax_asr.federated import algorithm, clipping, local_gradient
from fedjax_asr.federated.algorithms import fedavg, local_steps


def fedsgd(
  gradient: local_gradient.GradientFn,
  weighting: config.Weighting,
  clip_norm: float,
) -> algorithm.Algorithm:
  """The gradient of the mean loss over all that a client trains on.

  Every batch is evaluated at the server's values; of one batch, what is sent
  is its gradient to the bit. Clipped in the end where `clip_norm` is not 0. The
  learning rate is the server's alone.
  """
  base = fedavg.fedavg(gradient, lambda _: optax.identity(), weighting)

  def start(broadcast, participant, memory):
    state = base.start(broadcast, participant, memory)
    zeros = jax.tree.map(jnp.zeros_like, broadcast.params)
    return state._replace(opt_state=zeros)

  def step(broadcast, state, batch, key):
    slope, (norm_state, totals) = gradient(
      broadcast.params, state.norm_state, batch, key
    )
    seen = state.totals.num_utterances + totals.num_utterances
    share = totals.num_utterances / jnp.maximum(seen, 1)
    mean = jax.tree.map(
      lambda old, new: old + share * (new - old), state.opt_state, slope
    )
    moved = state._replace(norm_state=norm_state, opt_state=mean)
    return local_steps.kept_where_real(
      moved, state, local_steps.counted(totals, slope)
    )

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    slope = state.opt_state
    if clip_norm:
      slope = clipping.clipped(slope, clip_norm)
    update = message.update._replace(params=slope)
    return message._replace(update=update), memory

  return base._replace(start=start, step=step, finish=finish)
