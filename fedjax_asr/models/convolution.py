"""Convolution over time and frequency, written as one matrix product.

Under per-client weights a vmapped `lax.conv` becomes a grouped convolution,
slow on every backend. Here the frequency axis is a banded matrix and the time
taps are gathered beside each other, so that a client's convolution is one
matrix product and a vmap over clients is a batched one. Much of a band is
zeros: off the CPU, the bins are cut in windows that overlap and share one
smaller matrix, which each client has to build and to differentiate.
"""

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr.models import product

# Fraction of the products that windows must save: each repeats some inputs.
_WORTHWHILE = 0.25
_WINDOW_COUNTS = (2, 4)
Count = typing.TypeVar('Count', int, np.ndarray, jax.Array)


def output_length(length: int, stride: int) -> int:
  """Outputs of a convolution over `length` positions, zero-padded ends."""
  return -(-length // stride)


def _band(num_bins: int, outputs: int, kernel: int, stride: int) -> np.ndarray:
  """[kernel, bins, outputs]: 1 where a tap of the kernel meets a bin."""
  bins = np.arange(outputs) * stride + np.arange(kernel)[:, None]
  return bins[:, None, :] == np.arange(num_bins)[:, None]


def num_windows(num_bins: int, kernel: int, stride: int) -> int:
  """Windows that the bins are cut in: the fewest that save `_WORTHWHILE`.

  One on CPUs, where what windows save goes into gathering them.
  """
  if jax.default_backend() == 'cpu':
    return 1
  outputs = output_length(num_bins, stride)
  for count in _WINDOW_COUNTS:
    size = -(-outputs // count)
    products = count * size * _reach(size, kernel, stride)
    if products <= (1 - _WORTHWHILE) * outputs * num_bins:
      return count
  return 1


def _reach(outputs: int, kernel: int, stride: int) -> int:
  """Positions that so many neighbouring outputs see."""
  return (outputs - 1) * stride + kernel


def _frequency_windows(inputs, count, kernel, stride):
  """[batch, frames, bins, channels] -> [count * batch, frames, bins of one *
  channels], zeros beyond the ends, and the outputs of one.
  """
  batch, frames, bins, channels = inputs.shape
  size = -(-output_length(bins, stride) // count)
  before = (kernel - 1) // 2
  behind = _reach(count * size, kernel, stride) - before - bins
  padded = jnp.pad(inputs, ((0, 0), (0, 0), (before, max(0, behind)), (0, 0)))
  reach = _reach(size, kernel, stride)
  starts = np.arange(count) * size * stride
  windows = [padded[:, :, start : start + reach] for start in starts]
  shape = (count * batch, frames, reach * channels)
  return jnp.stack(windows).reshape(shape), size


def time_taps(
  inputs: Float[Array, 'batch frames bins'], kernel: int, stride: int
) -> Float[Array, 'batch outputs taps']:
  """The frames under each output's kernel, zeros beyond the ends.

  Output t sees frames t * stride - (kernel - 1) // 2 onwards whatever the
  padded length, unlike XLA's SAME padding.
  """
  frames = inputs.shape[1]
  outputs = output_length(frames, stride)
  before = (kernel - 1) // 2
  reach = (outputs - 1) * stride + kernel
  padded = jnp.pad(
    inputs, ((0, 0), (before, max(0, reach - before - frames)), (0, 0))
  )
  last = (outputs - 1) * stride + 1
  taps = [padded[:, k : k + last : stride] for k in range(kernel)]
  return jnp.concatenate(taps, axis=-1)


class BandedConv(nn.Module):
  """Convolution over time and frequency with zero-padded ends.

  Equals `nn.Conv` with a kernel of [time, frequency, in, out] and explicit
  padding of (kernel - 1) // 2 before. Frames beyond an utterance's end must be
  zero on entry, and then never reach a frame inside it.
  """

  channels: int
  kernel: tuple[int, int]
  strides: tuple[int, int]
  dtype: jnp.dtype

  @nn.compact
  def __call__(
    self, inputs: Float[Array, 'batch frames bins channels']
  ) -> Float[Array, 'batch outputs output_bins output_channels']:
    batch, frames, bins, channels = inputs.shape
    time, frequency = self.kernel
    stride = self.strides[1]
    kernel = self.param(
      'kernel',
      nn.initializers.he_normal(),
      (time, frequency, channels, self.channels),
    )
    bias = self.param('bias', nn.initializers.zeros, (self.channels,))
    # Cast here, so that all is gathered at the operands' width.
    values = product.operand(inputs, self.dtype)
    count = num_windows(bins, frequency, stride)
    if count == 1:
      values = values.reshape(batch, frames, bins * channels)
      size = output_length(bins, stride)
      band = _band(bins + 2 * frequency, size, frequency, stride)
      before = (frequency - 1) // 2
      band = band[:, before : before + bins]
    else:
      values, size = _frequency_windows(values, count, frequency, stride)
      band = _band(_reach(size, frequency, stride), size, frequency, stride)
    matrix = jnp.einsum('kbo,tkcd->tbcod', band.astype(kernel.dtype), kernel)
    matrix = matrix.reshape(-1, size * self.channels)
    taps = time_taps(values, time, self.strides[0])
    outputs = product.einsum('btx,xy->bty', taps, matrix, self.dtype)
    if count > 1:
      outputs = outputs.reshape(count, batch, *outputs.shape[1:])
      outputs = jnp.moveaxis(outputs, 0, 2)
    outputs = outputs.reshape(batch, outputs.shape[1], -1, self.channels)
    return outputs[:, :, : output_length(bins, stride)] + bias


def frames_after(num_frames: Count, strides: tuple[int, ...]) -> Count:
  """Frames left after convolutions of these strides over time."""
  for stride in strides:
    num_frames = -(-num_frames // stride)
  return num_frames


def zero_padding(
  values: Float[Array, 'batch frames ...'], num_frames: Int[Array, ' batch']
) -> Float[Array, 'batch frames ...']:
  """Exact zeros beyond each utterance's end, whatever stood there."""
  mask = frame_mask(num_frames, values.shape[1])
  mask = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
  return jnp.where(mask, values, 0)


def frame_mask(num_frames: Int[Array, ' batch'], frames: int) -> jax.Array:
  """[batch, frames], True at real frames."""
  return jnp.arange(frames) < num_frames[:, None]
