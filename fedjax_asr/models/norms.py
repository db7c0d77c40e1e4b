"""Normalisation of activations [batch, frames, ..., features].

Layer and group norms see one frame at a time, so padding cannot reach them.
Sequence-wise batch norm takes its statistics over real frames only.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fedjax_asr import config

EPSILON = 1e-5


class SequenceBatchNorm(nn.Module):
  """Batch norm over all real frames of a batch (Amodei et al. 2015, 3.2).

  Statistics are per entry of the last axis, over batch, frames and any axes
  between. A batch without a real frame leaves the running averages as they
  were. Running averages live in the collection `norm_state`.
  """

  momentum: float

  @nn.compact
  def __call__(
    self,
    inputs: Float[Array, 'batch frames ... features'],
    mask: Bool[Array, 'batch frames'],
    train: bool,
  ) -> Float[Array, 'batch frames ... features']:
    mask = mask.reshape(*mask.shape, *(1,) * (inputs.ndim - 2))
    # Not only out of the statistics: NaN would reach their gradient.
    inputs = jnp.where(mask, inputs, 0)
    size = inputs.shape[-1]
    mean = self.variable('norm_state', 'mean', jnp.zeros, size)
    variance = self.variable('norm_state', 'variance', jnp.ones, size)
    if train:
      moments = _masked_moments(inputs, mask)
      if not self.is_initializing():
        keep = jnp.where(mask.any(), self.momentum, 1.0)
        mean.value = keep * mean.value + (1 - keep) * moments[0]
        variance.value = keep * variance.value + (1 - keep) * moments[1]
    else:
      moments = mean.value, variance.value
    scale = self.param('scale', nn.initializers.ones, (size,))
    bias = self.param('bias', nn.initializers.zeros, (size,))
    normal = (inputs - moments[0]) * jax.lax.rsqrt(moments[1] + EPSILON)
    return normal * scale + bias


def _masked_moments(inputs, mask):
  """Mean and variance over real positions, where padding holds zeros."""
  axes = tuple(range(inputs.ndim - 1))
  per_frame = inputs[0, 0, ..., 0].size
  count = jnp.maximum(mask.sum() * per_frame, 1)
  mean = inputs.sum(axes) / count
  squares = jnp.where(mask, jnp.square(inputs - mean), 0)
  return mean, squares.sum(axes) / count


class FrameNorm(nn.Module):
  """Layer norm (one group) or group norm of each frame by itself.

  Groups divide the last axis and span the axes between frames and it, so a
  convolution's output is normalised over frequency and channels.
  """

  num_groups: int

  @nn.compact
  def __call__(
    self, inputs: Float[Array, 'batch frames ... features']
  ) -> Float[Array, 'batch frames ... features']:
    size = inputs.shape[-1]
    frames = math.prod(inputs.shape[:2])
    if self.num_groups == 1:
      # All of a frame side by side: on CPUs a step of the default round takes
      # a fifth less time so than with means over two axes.
      grouped, axes = inputs.reshape(frames, -1), (1,)
    else:
      split = (self.num_groups, size // self.num_groups)
      grouped, axes = inputs.reshape(frames, -1, *split), (1, 3)
    mean = grouped.mean(axes, keepdims=True)
    variance = jnp.square(grouped - mean).mean(axes, keepdims=True)
    normal = (grouped - mean) * jax.lax.rsqrt(variance + EPSILON)
    scale = self.param('scale', nn.initializers.ones, (size,))
    bias = self.param('bias', nn.initializers.zeros, (size,))
    return normal.reshape(inputs.shape) * scale + bias


def apply(
  model: config.DeepSpeech2Config,
  name: str,
  inputs: Float[Array, 'batch frames ... features'],
  mask: Bool[Array, 'batch frames'],
  train: bool,
) -> Float[Array, 'batch frames ... features']:
  """The configured norm as a submodule `name` of the calling module."""
  match model.norm:
    case config.Norm.LAYER:
      return FrameNorm(num_groups=1, name=name)(inputs)
    case config.Norm.GROUP:
      return FrameNorm(num_groups=model.num_norm_groups, name=name)(inputs)
    case config.Norm.BATCH:
      norm = SequenceBatchNorm(momentum=model.norm_momentum, name=name)
      return norm(inputs, mask, train and not model.frozen_norm)
    case config.Norm.NONE:
      return inputs


def is_norm(path: jax.tree_util.KeyPath) -> bool:
  """Whether a parameter is of a norm: `norm` is a word of a module's name."""
  return any('norm' in str(entry.key).split('_') for entry in path)
