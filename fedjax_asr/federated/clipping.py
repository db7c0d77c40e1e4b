"""Updates scaled to a length: of the whole, or of each layer.

By hand and not by `jax_privacy.clipping.clip_pytree`, which turns what is not
finite into zeros: here such a client is left out and named (`client_report`),
which for the sum is the same.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from fedjax_asr import config
from fedjax_asr.federated import channel
from fedjax_asr.models import model


def clipped(update: PyTree, clip_norm: float | jax.Array) -> PyTree:
  """Scaled to a global norm of `clip_norm` where it is larger.

  Zero stays zero; a shorter update is returned as it was.
  """
  norm = optax.tree.norm(update)
  scale = jnp.where(norm > clip_norm, clip_norm / norm, 1.0)
  return jax.tree.map(lambda leaf: leaf * scale, update)


def flat(clip_norm: float) -> channel.Channel:
  """A client's update, scaled to a global norm of `clip_norm` at most."""

  def client(message, memory, sender):
    del sender
    params = message.update.params
    was_clipped = optax.tree.norm(params) > clip_norm
    params = clipped(params, clip_norm)
    return channel.with_params(message, params), memory, was_clipped

  return channel.Channel(client)


def per_layer(clip_norm: float, share: config.LayerBounds) -> channel.Channel:
  """Each layer of the update, scaled to its share of `clip_norm` at most.

  A layer is what the model calls one: kernel, bias and norm of it together. The
  squares of all bounds sum up to that of `clip_norm`, so that the whole update
  is no longer than that (McMahan et al. 2018; Pelikan et al. 2023,
  arXiv 2310.00098, section 4.2).
  """

  def client(message, memory, sender):
    del sender
    params = message.update.params
    bounds = layer_bounds(params, clip_norm, share)
    norms = {name: optax.tree.norm(layer) for name, layer in params.items()}
    is_over = [norms[name] > bound for name, bound in bounds.items()]
    params = {
      name: clipped(layer, bounds[name]) for name, layer in params.items()
    }
    was_clipped = jnp.stack(is_over).any()
    return channel.with_params(message, params), memory, was_clipped

  return channel.Channel(client)


def layer_bounds(
  params: model.Params, clip_norm: float, share: config.LayerBounds
) -> dict[str, float]:
  """The length that each layer may have; the squares sum up to clip_norm's.

  uniform: the same for all. dimension: by the root of how many numbers it has.
  """
  match share:
    case config.LayerBounds.UNIFORM:
      weights = {name: 1.0 for name in params}
    case config.LayerBounds.DIMENSION:
      weights = {
        name: float(sum(leaf.size for leaf in jax.tree.leaves(layer)))
        for name, layer in params.items()
      }
  total = sum(weights.values())
  return {
    name: clip_norm * float(np.sqrt(weight / total))
    for name, weight in weights.items()
  }
