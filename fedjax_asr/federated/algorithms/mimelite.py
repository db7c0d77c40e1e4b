"""MimeLite (Karimireddy et al. 2021, "Breaking the centralized barrier").

Local steps mimic a central optimizer: its statistics are the server's and stay
as they are on the way.
"""

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config
from fedjax_asr.federated import (
  aggregation,
  algorithm,
  clipping,
  local_gradient,
)
from fedjax_asr.federated.algorithms import at_server, fedavg, frozen


def mimelite(
  gradient: local_gradient.GradientFn,
  base_optimizer: frozen.Frozen,
  weighting: config.Weighting,
  clip_norm: float,
) -> algorithm.Algorithm:
  """Steps along U(g, s); then s is V of the mean gradient at the start.

  That is at the server's model, of all that a client trains on, weighted as its
  update is; it is sent as it is, whatever the channel does to the update. Where
  `clip_norm` is not 0, g and that gradient of each client are clipped to it.
  Without a usable utterance in a round s stays.
  """

  def limited(slope):
    return clipping.clipped(slope, clip_norm) if clip_norm else slope

  def correct(slope, state, broadcast):
    del state
    return base_optimizer.direction(limited(slope), broadcast.memory)

  base = at_server.measured(
    fedavg.fedavg(gradient, optax.sgd, weighting, correct),
    at_server.gradients(gradient),
  )

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    found = limited(at_server.per_utterance(state))
    weighted = jax.tree.map(lambda leaf: message.weight * leaf, found)
    return message._replace(extra=weighted), memory.own

  def combine(broadcast, sums):
    took_part = sums.weight > 0
    scale = 1 / jnp.where(took_part, sums.weight, 1.0)
    mean = jax.tree.map(lambda leaf: scale * leaf, sums.extra)
    statistics = jax.tree.map(
      lambda after, before: jnp.where(took_part, after, before),
      base_optimizer.tracked(mean, broadcast.memory),
      broadcast.memory,
    )
    return aggregation.mean(sums), statistics

  return base._replace(
    init_server=lambda params, norm_state: base_optimizer.init(params),
    finish=finish,
    combine=combine,
  )
