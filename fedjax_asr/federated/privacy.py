"""Clipped and noised updates (DP-FedAvg, McMahan et al. 2018).

What these would guarantee is not computed: there is no accountant, and no
epsilon is claimed. Running averages of batch norm, which are no parameters,
are neither clipped nor noised.
"""

import jax
import jax.flatten_util
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from fedjax_asr import streams
from fedjax_asr.federated import channel


def clipped(update: PyTree, clip_norm: float) -> PyTree:
  """Scaled to a global norm of `clip_norm` where it is larger.

  Zero stays zero; a shorter update is returned as it was.
  """
  norm = optax.tree.norm(update)
  scale = jnp.where(norm > clip_norm, clip_norm / norm, 1.0)
  return jax.tree.map(lambda leaf: leaf * scale, update)


def noised(
  update: PyTree, stddev: float | Float[Array, ''], key: jax.Array
) -> PyTree:
  """Plus independent Gaussian noise on every number."""
  flat, like_update = jax.flatten_util.ravel_pytree(update)
  # One draw for all arrays: it compiles in a third of the time.
  noise = like_update(jax.random.normal(key, flat.shape, flat.dtype))
  return jax.tree.map(lambda leaf, draw: leaf + stddev * draw, update, noise)


def clipping(clip_norm: float) -> channel.Channel:
  """A client's update, scaled to a global norm of `clip_norm` at most."""

  def client(message, memory, key):
    del key
    params = message.update.params
    was_clipped = optax.tree.norm(params) > clip_norm
    params = clipped(params, clip_norm)
    return channel.with_params(message, params), memory, was_clipped

  return channel.Channel(None, client, lambda sums, key: sums)


def client_noise(stddev: float) -> channel.Channel:
  """Noise of the client's own on every number of its update."""
  return channel.of_params(
    lambda params, key: noised(
      params, stddev, streams.of_client(key, streams.ClientStream.NOISE)
    )
  )


def server_noise(stddev: float) -> channel.Channel:
  """The server's noise on every number of the weighted sum.

  For weights of 1 and updates clipped to a norm C, one client moves that sum by
  C at most. Where nobody weighs anything there is no noise.
  """

  def server(sums, key):
    scale = jnp.where(sums.weight > 0, stddev, 0.0)
    params = noised(sums.update.params, scale, key)
    return sums._replace(update=sums.update._replace(params=params))

  def client(message, memory, key):
    del key
    return message, memory, jnp.array(False)

  return channel.Channel(None, client, server)
