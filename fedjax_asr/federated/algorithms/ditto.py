"""Ditto (Li et al. 2021, "Ditto: Fair and Robust Federated Learning Through
Personalization", Algorithm 1)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.federated import algorithm, clipping, local_gradient
from fedjax_asr.models import model


class Personal(NamedTuple):
  """A client's own model (v_k), with its running statistics."""

  params: model.Params
  norm_state: model.NormState


def ditto(
  base: algorithm.Algorithm,
  gradient: local_gradient.GradientFn,
  settings: config.DittoConfig,
  clip_norm: float,
) -> algorithm.Algorithm:
  """The global model is FedAvg's; beside it each client trains its own.

  On every batch v <- v - rate (grad F(v) + lambda (v - w)), where w is what the
  server sent. v starts from w in the round in which the client is first drawn.

  Args:
    base: FedAvg.
    gradient: of a local step.
    settings: rate and lambda.
    clip_norm: of grad F(v), as of the client's other gradient; 0: none.
  """

  def step(broadcast, state, batch, key):
    moved = base.step(broadcast, state, batch, key)
    slope, (norm_state, totals) = gradient(*state.memory, batch, key)
    if clip_norm:
      slope = clipping.clipped(slope, clip_norm)
    params = jax.tree.map(
      lambda v, g, w: (
        v - settings.learning_rate * (g + settings.regularization * (v - w))
      ),
      state.memory.params,
      slope,
      broadcast.params,
    )
    real = totals.num_utterances > 0
    memory = jax.tree.map(
      lambda new, old: jnp.where(real, new, old),
      Personal(params, norm_state),
      state.memory,
    )
    return moved._replace(memory=memory)

  return base._replace(
    init_client=Personal,
    step=step,
    personal=lambda params, norm_state, memory: tuple(memory),
  )
