"""FedDyn (Acar et al. 2021, Algorithm 1).

A client works on its loss - <h_k, w> + alpha / 2 |w - w0|^2, where h_k is the
gradient of its loss where its last round ended.
"""

import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.federated import aggregation, algorithm, local_gradient
from fedjax_asr.federated.algorithms import fedavg


def feddyn(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  alpha: float,
  num_clients: int,
) -> algorithm.Algorithm:
  """Local steps along g - h_k + alpha (w - w0), and h of the server.

  With SGD of rate 1 at the server, the paper's step; all clients weigh alike,
  as its h needs. The server makes h of the updates as they came out of the
  channel, a client its h_k of what it moved: h is the mean of h_k over the
  population until the channel changes something. A client's own clipping is of
  the corrected gradient. Without a usable utterance h_k stays, and h where
  nobody has one.
  """

  def correct(slope, state, broadcast):
    return jax.tree.map(
      lambda g, own, w, w0: g - own + alpha * (w - w0),
      slope,
      state.memory,
      state.params,
      broadcast.params,
    )

  base = fedavg.fedavg(gradient, optimizer, config.Weighting.UNIFORM, correct)

  def finish(broadcast, state):
    message, own = base.finish(broadcast, state)
    own = jax.tree.map(
      lambda h, moved: h + alpha * moved, own, message.update.params
    )
    return message, own

  def combine(broadcast, sums):
    h = jax.tree.map(
      lambda h, moved: h + alpha / num_clients * moved,
      broadcast.memory,
      sums.update.params,
    )
    update = aggregation.mean(sums)
    took_part = sums.weight > 0
    params = jax.tree.map(
      lambda mean, h: jnp.where(took_part, mean + h / alpha, 0.0),
      update.params,
      h,
    )
    return update._replace(params=params), h

  return base._replace(
    init_server=lambda params, norm_state: jax.tree.map(jnp.zeros_like, params),
    init_client=lambda params, _: jax.tree.map(jnp.zeros_like, params),
    finish=finish,
    combine=combine,
    # h is the server's alone.
    told=lambda memory: (),
  )
