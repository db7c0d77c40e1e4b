"""Matrix products with operands in the configured dtype."""

import jax
import jax.numpy as jnp


def operand(values: jax.Array, dtype: jnp.dtype) -> jax.Array:
  """`values` in `dtype`; float32 leaves them, so that float64 stays."""
  if dtype == jnp.float32:
    return values
  if jax.default_backend() == 'cpu':
    # XLA's CPU products lack bfloat16 operands with float32 sums in some
    # layouts, so the operands are rounded and stay in float32.
    kind = jnp.finfo(dtype)
    return jax.lax.reduce_precision(values, kind.nexp, kind.nmant)
  return values.astype(dtype)


def einsum(
  subscripts: str, left: jax.Array, right: jax.Array, dtype: jnp.dtype
) -> jax.Array:
  """`jnp.einsum` of `operand`s, summed in float32 or wider."""
  left, right = operand(left, dtype), operand(right, dtype)
  sums = jnp.promote_types(jnp.result_type(left, right), jnp.float32)
  return jnp.einsum(subscripts, left, right, preferred_element_type=sums)
