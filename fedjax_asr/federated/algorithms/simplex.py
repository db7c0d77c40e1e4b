"""Weights that are not negative and sum to one."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def projected(values: Float[Array, ' size']) -> Float[Array, ' size']:
  """The nearest such weights, by Euclidean distance.

  Exact: all that stay above zero are lowered by the same amount, found in the
  sorted values (Duchi et al. 2008, figure 1).
  """
  falling = jnp.sort(values)[::-1]
  excess = jnp.cumsum(falling) - 1
  counts = jnp.arange(1, values.size + 1)
  num_positive = (falling * counts > excess).sum()
  lowered = excess[num_positive - 1] / num_positive
  return jnp.maximum(values - lowered, 0)
