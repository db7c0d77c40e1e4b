"""DeepSpeech 1 (Hannun et al. 2014): dense layers over a context window, one
recurrence, dense layers.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.models import (
  activation,
  convolution,
  dropout,
  product,
  recurrence,
)


class DenseLayer(nn.Module):
  """W x + b; padded frames give the bias, and callers clear them."""

  model: config.DeepSpeech1Config
  size: int

  @nn.compact
  def __call__(
    self, inputs: Float[Array, 'batch frames features']
  ) -> Float[Array, 'batch frames size']:
    kernel = self.param(
      'kernel',
      nn.initializers.glorot_uniform(),
      (inputs.shape[-1], self.size),
    )
    bias = self.param(
      'bias', nn.initializers.normal(self.model.bias_stddev), (self.size,)
    )
    dtype = jnp.dtype(self.model.dtype)
    return product.dense(inputs, kernel, dtype) + bias


class RecurrentLayer(nn.Module):
  """One recurrence, in one direction or in two that are summed.

  h_t = f(W x_t + U h_{t-1} + b), with W and b shared between the directions
  (Hannun et al. 2014, equations 2 and 3).
  """

  model: config.DeepSpeech1Config
  smoothing: float = 0.0

  @nn.compact
  def __call__(
    self,
    inputs: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
  ) -> Float[Array, 'batch frames size']:
    mask = convolution.frame_mask(num_frames, inputs.shape[1])
    states = recurrence.directed_states(*self.scanned(inputs, mask))
    return states[..., : self.model.recurrent_size].sum(2)

  def scanned(
    self,
    inputs: Float[Array, 'batch frames features'],
    mask: Bool[Array, 'batch frames'],
  ) -> tuple[Any, ...]:
    """What `recurrence.directed_states` takes."""
    cell = recurrence.cell_spec(self.model.cell, self.smoothing)
    dtype = jnp.dtype(self.model.dtype)
    size = self.model.recurrent_size
    directions = 2 if self.model.bidirectional else 1
    gates = cell.num_gates * size
    weights = self.param(
      'recurrent_kernel',
      recurrence.initializer(self.model.cell),
      (directions, size, gates),
    )
    projected = DenseLayer(self.model, gates, name='input')(inputs)
    projected = projected[:, :, None].repeat(directions, 2)
    bias = jnp.zeros((directions, gates), projected.dtype)
    return cell, dtype, mask, projected, weights, bias


class DeepSpeech1(nn.Module):
  """Three dense layers, recurrence, dense layer, output.

  The first layer sees a window of 2 * context_frames + 1 frames, zeros beyond
  the ends. Parameters of the paper's five hidden layers are `dense_0` to
  `dense_2`, `recurrent` and `final`. `smoothing` is of the clipped ReLUs.
  """

  model: config.DeepSpeech1Config
  vocab_size: int
  smoothing: float = 0.0

  @nn.compact
  def __call__(
    self,
    features: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
    *,
    train: bool,
  ) -> tuple[Float[Array, 'batch outputs vocab'], Int[Array, ' batch']]:
    """Logits and their number; the rest of `logits` is exact zeros.

    The logits of an utterance do not depend on what it is padded with or
    batched with.
    """
    features = convolution.zero_padding(features, num_frames)
    stride = self.model.time_stride
    window = 2 * self.model.context_frames + 1
    values = convolution.time_taps(features, window, stride)
    num_frames = convolution.frames_after(num_frames, (stride,))
    for index, size in enumerate(self.model.dense_sizes):
      values = self.hidden(f'dense_{index}', size, values, train)
    layer = RecurrentLayer(self.model, self.smoothing, name='recurrent')
    values = layer(values, num_frames)
    values = self.hidden('final', self.model.final_size, values, train)
    logits = DenseLayer(self.model, self.vocab_size, name='output')(values)
    return convolution.zero_padding(logits, num_frames), num_frames

  def hidden(
    self,
    name: str,
    size: int,
    values: Float[Array, 'batch frames inputs'],
    train: bool,
  ) -> Float[Array, 'batch frames size']:
    """A dense layer, as a submodule, and what follows it."""
    values = DenseLayer(self.model, size, name=name)(values)
    values = activation.clipped_relu(values, self.smoothing)
    return dropout.Dropout(self.model.dropout)(values, train)
