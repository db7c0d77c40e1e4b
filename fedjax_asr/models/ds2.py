"""DeepSpeech 2 (Amodei et al. 2015): convolutions, recurrence, dense output.

One-way models may have a lookahead convolution between the last two.
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
  lookahead,
  norms,
  product,
  recurrence,
)


class RecurrentLayer(nn.Module):
  """One (bi)directional recurrence; directions are summed.

  h_t = f(Norm(W x_t) + U h_{t-1} + b): normalisation is on the input path
  only. Both directions share one scan, the second over the reversed sequence.
  Padded frames give exact zeros and move no state.
  """

  model: config.DeepSpeech2Config
  smoothing: float = 0.0

  @nn.compact
  def __call__(
    self,
    inputs: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
    train: bool,
  ) -> Float[Array, 'batch frames size']:
    mask = convolution.frame_mask(num_frames, inputs.shape[1])
    states = recurrence.directed_states(*self.scanned(inputs, mask, train))
    outputs = states[..., : self.model.recurrent_size].sum(2)
    return convolution.zero_padding(outputs, num_frames)

  def scanned(
    self,
    inputs: Float[Array, 'batch frames features'],
    mask: Bool[Array, 'batch frames'],
    train: bool,
  ) -> tuple[Any, ...]:
    """What `recurrence.directed_states` takes."""
    cell = recurrence.cell_spec(self.model.cell, self.smoothing)
    dtype = jnp.dtype(self.model.dtype)
    size = self.model.recurrent_size
    directions = 2 if self.model.bidirectional else 1
    gates = cell.num_gates * size
    projection = self.param(
      'input_kernel',
      nn.initializers.lecun_normal(),
      (inputs.shape[-1], directions * gates),
    )
    projected = product.dense(inputs, projection, dtype)
    projected = norms.apply(self.model, 'norm', projected, mask, train)
    weights = self.param(
      'recurrent_kernel',
      recurrence.initializer(self.model.cell),
      (directions, size, gates),
    )
    bias = self.param('bias', nn.initializers.zeros, (directions, gates))
    projected = projected.reshape(*inputs.shape[:2], directions, gates)
    return cell, dtype, mask, projected, weights, bias


class DeepSpeech2(nn.Module):
  """Convolutions over time and frequency, recurrent layers, dense output.

  `smoothing` is of the clipped ReLUs.
  """

  model: config.DeepSpeech2Config
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
    batched with (batch norm while training excepted).
    """
    values, num_frames = self._convolve(features, num_frames, train)
    values = values.reshape(*values.shape[:2], -1)
    for index in range(self.model.num_recurrent_layers):
      layer = RecurrentLayer(
        self.model, self.smoothing, name=f'recurrent_{index}'
      )
      values = layer(values, num_frames, train)
      values = dropout.Dropout(self.model.dropout)(values, train)
    if self.model.lookahead:
      ahead = lookahead.Lookahead(self.model.lookahead, name='lookahead')
      values = ahead(values, num_frames)
    logits = nn.Dense(self.vocab_size, name='output')(values)
    return convolution.zero_padding(logits, num_frames), num_frames

  def _convolve(self, features, num_frames, train):
    values = convolution.zero_padding(features[..., None], num_frames)
    for index, stride in enumerate(self.model.conv_time_strides):
      values = self.conv_layer(index)(values)
      num_frames = convolution.frames_after(num_frames, (stride,))
      mask = convolution.frame_mask(num_frames, values.shape[1])
      values = self.activated(index, values, mask, train)
    return values, num_frames

  def conv_layer(
    self, index: int, is_padded: bool = False
  ) -> convolution.BandedConv:
    """One of them, as a submodule."""
    model = self.model
    return convolution.BandedConv(
      channels=model.conv_channels[index],
      kernel=(
        model.conv_time_kernels[index],
        model.conv_frequency_kernels[index],
      ),
      strides=(
        model.conv_time_strides[index],
        model.conv_frequency_strides[index],
      ),
      dtype=jnp.dtype(model.dtype),
      is_padded=is_padded,
      name=f'conv_{index}',
    )

  def activated(
    self,
    index: int,
    values: Float[Array, 'batch frames bins channels'],
    mask: Bool[Array, 'batch frames'],
    train: bool,
  ) -> Float[Array, 'batch frames bins channels']:
    """What a convolution gives, normalised and clipped; zeros in padding."""
    name = f'conv_norm_{index}'
    values = norms.apply(self.model, name, values, mask, train)
    values = activation.clipped_relu(values, self.smoothing)
    return convolution.cleared(values, mask)


class Front(DeepSpeech2):
  """The convolutions by themselves: what the first recurrence is given.

  Takes the parameters of the whole model.
  """

  @nn.compact
  def __call__(
    self,
    features: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
    *,
    train: bool,
  ) -> tuple[Float[Array, 'batch outputs units'], Int[Array, ' batch']]:
    values, num_frames = self._convolve(features, num_frames, train)
    return values.reshape(*values.shape[:2], -1), num_frames
