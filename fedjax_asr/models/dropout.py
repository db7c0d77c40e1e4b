"""Dropout that does not depend on how far a batch is padded."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dropout(nn.Module):
  """Dropout whose mask at a real frame does not depend on padded frames.

  The draw is time-major: with JAX's partitionable threefry an entry depends on
  its flat index only, and more frames then come after all others.
  """

  rate: float

  @nn.compact
  def __call__(
    self, values: Float[Array, 'batch frames size'], train: bool
  ) -> Float[Array, 'batch frames size']:
    """The values themselves unless `train`; zeros stay zeros."""
    if not (train and self.rate):
      return values
    batch, frames, size = values.shape
    keep = jax.random.bernoulli(
      self.make_rng('dropout'), 1 - self.rate, (frames, batch, size)
    )
    return jnp.where(keep.swapaxes(0, 1), values / (1 - self.rate), 0)
