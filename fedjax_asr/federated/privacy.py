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

from fedjax_asr import config


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


def of_client(
  update: PyTree, privacy: config.PrivacyConfig, key: jax.Array
) -> PyTree:
  """A client's update, clipped and with the client's own noise.

  The update itself where both are off. `key` is the client's in the round.
  """
  if privacy.clip_norm:
    update = clipped(update, privacy.clip_norm)
  if privacy.local_noise_multiplier:
    stddev = privacy.local_noise_multiplier * privacy.clip_norm
    update = noised(update, stddev, jax.random.fold_in(key, _CLIENT_STREAM))
  return update


def of_server(
  mean: PyTree,
  weight: float | Float[Array, ''],
  privacy: config.PrivacyConfig,
  key: jax.Array,
) -> PyTree:
  """The mean of clients' updates with the server's noise.

  Args:
    mean: the weighted mean; one client may have moved the weighted sum by
      `clip_norm`, for weights of 1.
    weight: sum of the weights; without any, there is no noise.
    privacy: its central noise; the mean itself where that is off.
    key: of the round; a stream of it is used that no client has.
  """
  if not privacy.central_noise_multiplier:
    return mean
  stddev = privacy.central_noise_multiplier * privacy.clip_norm
  stddev = jnp.where(weight > 0, stddev / jnp.where(weight > 0, weight, 1), 0)
  return noised(mean, stddev, jax.random.fold_in(key, _SERVER_STREAM))


# Steps fold their index into a client's key, and clients theirs into a
# round's.
_CLIENT_STREAM = 2**31
_SERVER_STREAM = 2**31
