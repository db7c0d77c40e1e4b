"""Matrix products with operands in the configured dtype."""

import jax
import jax.numpy as jnp


def operand(values: jax.Array, dtype: jnp.dtype) -> jax.Array:
  """`values` in `dtype`; float32 leaves them, so that float64 stays."""
  return values if dtype == jnp.float32 else values.astype(dtype)


def einsum(
  subscripts: str, left: jax.Array, right: jax.Array, dtype: jnp.dtype
) -> jax.Array:
  """`jnp.einsum` of `operand`s, summed in float32 or wider."""
  left, right = operand(left, dtype), operand(right, dtype)
  sums = jnp.promote_types(jnp.result_type(left, right), jnp.float32)
  return jnp.einsum(subscripts, left, right, preferred_element_type=sums)
