"""The lookahead convolution of one-way DeepSpeech 2."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedjax_asr.models import convolution


class Lookahead(nn.Module):
  """A little of the future for a recurrence that has only the past.

  r_t = sum over j = 0 to tau of W_j * h_{t+j}, a weight for each feature and
  shift (Wang et al. 2016; Amodei et al. 2015, 3.7, where it is called row
  convolution). It begins as the identity. What lies behind an utterance's end
  counts as zeros, whatever stands there, and becomes zeros.

  Written as a sum of shifted arrays: with weights for each client a
  convolution of each feature by itself would be a grouped one, which is slow.
  """

  num_frames: int

  def __call__(
    self,
    inputs: Float[Array, 'batch frames size'],
    num_frames: Int[Array, ' batch'],
  ) -> Float[Array, 'batch frames size']:
    frames = inputs.shape[1]
    inputs = convolution.zero_padding(inputs, num_frames)
    ahead = jnp.pad(inputs, ((0, 0), (0, self.num_frames), (0, 0)))
    outputs = self.of_window(ahead, frames)
    return convolution.zero_padding(outputs, num_frames)

  @nn.compact
  def of_window(
    self, window: Float[Array, 'batch window size'], frames: int
  ) -> Float[Array, 'batch frames size']:
    """Of the first frames of a window that holds what lies ahead of them."""
    kernel = self.param(
      'kernel', _identity, (self.num_frames + 1, window.shape[-1])
    )
    outputs = window[:, :frames] * kernel[0]
    for shift in range(1, self.num_frames + 1):
      outputs += window[:, shift : shift + frames] * kernel[shift]
    return outputs


def _identity(key, shape, dtype=jnp.float32) -> jax.Array:
  del key
  return jnp.zeros(shape, dtype).at[0].set(1)
