"""Convolution over time and frequency, written as one matrix product.

Under per-client weights a vmapped `lax.conv` becomes a grouped convolution,
slow on every backend. Here the frequency axis is a banded matrix and the time
taps are gathered beside each other, so that a client's convolution is one
matrix product and a vmap over clients is a batched one.
"""

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr.models import product

Count = typing.TypeVar('Count', int, np.ndarray, jax.Array)


def output_length(length: int, stride: int) -> int:
  """Outputs of a convolution over `length` positions, zero-padded ends."""
  return -(-length // stride)


def _band(num_bins: int, kernel: int, stride: int) -> np.ndarray:
  """[kernel, bins, outputs]: 1 where a tap of the kernel meets a bin."""
  outputs = np.arange(output_length(num_bins, stride)) * stride
  bins = outputs - (kernel - 1) // 2 + np.arange(kernel)[:, None]
  return bins[:, None, :] == np.arange(num_bins)[:, None]


def time_taps(
  inputs: Float[Array, 'batch frames bins'], kernel: int, stride: int
) -> Float[Array, 'batch outputs taps']:
  """The frames under each output's kernel, zeros beyond the ends.

  Output t sees frames t * stride - (kernel - 1) // 2 onwards whatever the
  padded length, unlike XLA's SAME padding.
  """
  return _time_taps(inputs, kernel, stride)


def inner_taps(
  inputs: Float[Array, 'batch frames bins'], kernel: int, stride: int
) -> Float[Array, 'batch outputs taps']:
  """Those of `time_taps` whose kernels lie inside: output t sees frames from
  t * stride on."""
  outputs = (inputs.shape[1] - kernel) // stride + 1
  seen = np.arange(outputs)[:, None] * stride + np.arange(kernel)
  return inputs[:, seen].reshape(inputs.shape[0], outputs, -1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _time_taps(inputs, kernel, stride) -> typing.Any:
  batch, frames, bins = inputs.shape
  # Not NumPy's, so that an exported program may have any number of frames.
  outputs = jnp.arange(output_length(frames, stride))
  seen = outputs[:, None] * stride + np.arange(kernel)
  taps = _padded(inputs, kernel, stride).at[:, seen]
  taps = taps.get(mode='promise_in_bounds')
  return taps.reshape(batch, outputs.shape[0], kernel * bins)


@_time_taps.defjvp
def _time_taps_jvp(kernel, stride, primals, tangents):
  """The same function, as slices and not as a gather.

  A gather is several times faster, but not its transpose, a scatter; that of
  slices is a sum of shifted arrays.
  """
  (inputs,), (tangent,) = primals, tangents
  padded = _padded(tangent, kernel, stride)
  last = (output_length(inputs.shape[1], stride) - 1) * stride + 1
  taps = [padded[:, k : k + last : stride] for k in range(kernel)]
  return _time_taps(inputs, kernel, stride), jnp.concatenate(taps, axis=-1)


def _padded(inputs, kernel, stride):
  """Zeros as far as the first and the last kernel reach beyond the ends."""
  frames = inputs.shape[1]
  before = (kernel - 1) // 2
  reach = (output_length(frames, stride) - 1) * stride + kernel
  after = max(0, reach - before - frames)
  return jnp.pad(inputs, ((0, 0), (before, after), (0, 0)))


class BandedConv(nn.Module):
  """Convolution over time and frequency with zero-padded ends.

  Equals `nn.Conv` with a kernel of [time, frequency, in, out] and explicit
  padding of (kernel - 1) // 2 before. Frames beyond an utterance's end must be
  zero on entry, and then never reach a frame inside it. Where it `is_padded`
  already, all outputs are those whose kernels lie inside of the frames.
  """

  channels: int
  kernel: tuple[int, int]
  strides: tuple[int, int]
  dtype: jnp.dtype
  is_padded: bool = False

  @nn.compact
  def __call__(
    self, inputs: Float[Array, 'batch frames bins channels']
  ) -> Float[Array, 'batch outputs output_bins output_channels']:
    batch, frames, bins, channels = inputs.shape
    time, frequency = self.kernel
    kernel = self.param(
      'kernel',
      nn.initializers.he_normal(),
      (time, frequency, channels, self.channels),
    )
    bias = self.param('bias', nn.initializers.zeros, (self.channels,))
    band = _band(bins, frequency, self.strides[1]).astype(kernel.dtype)
    matrix = jnp.einsum('kbo,tkcd->tbcod', band, kernel)
    matrix = matrix.reshape(time * bins * channels, -1)
    flat = inputs.reshape(batch, frames, bins * channels)
    # Cast here, so that the taps are gathered at the operands' width.
    taken = inner_taps if self.is_padded else time_taps
    taps = taken(product.operand(flat, self.dtype), time, self.strides[0])
    outputs = product.dense(taps, matrix, self.dtype)
    return outputs.reshape(*outputs.shape[:2], -1, self.channels) + bias


def frames_after(num_frames: Count, strides: tuple[int, ...]) -> Count:
  """Frames left after convolutions of these strides over time."""
  for stride in strides:
    num_frames = -(-num_frames // stride)
  return num_frames


def zero_padding(
  values: Float[Array, 'batch frames ...'], num_frames: Int[Array, ' batch']
) -> Float[Array, 'batch frames ...']:
  """Exact zeros beyond each utterance's end, whatever stood there."""
  return cleared(values, frame_mask(num_frames, values.shape[1]))


def cleared(
  values: Float[Array, 'batch frames ...'], mask: Bool[Array, 'batch frames']
) -> Float[Array, 'batch frames ...']:
  """Exact zeros where a frame is not real, whatever stood there."""
  mask = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
  return jnp.where(mask, values, 0)


def frame_mask(num_frames: Int[Array, ' batch'], frames: int) -> jax.Array:
  """[batch, frames], True at real frames."""
  return jnp.arange(frames) < num_frames[:, None]
