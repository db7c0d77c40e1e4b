"""Matrix products with operands in the configured dtype."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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


def dense(
  inputs: Float[Array, 'batch frames inputs'],
  kernel: Float[Array, 'inputs outputs'],
  dtype: jnp.dtype,
) -> Float[Array, 'batch frames outputs']:
  """inputs @ kernel, and both gradients, of `operand`s.

  Autodiff's gradients are slower. In bfloat16 they would be products of a
  float32 and a bfloat16 array, which XLA computes in TF32. On CPUs the kernel's
  would first transpose the gradient of the outputs, together with all that
  makes it. Cannot be differentiated forwards (`jax.jvp`), backwards any number
  of times.
  """
  return _dense(inputs, kernel, dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _dense(inputs, kernel, dtype) -> Any:
  return einsum('btx,xy->bty', inputs, kernel, dtype)


def _dense_forward(inputs, kernel, dtype):
  return _dense(inputs, kernel, dtype), (inputs, kernel)


def _dense_backward(dtype, residuals, gradient):
  inputs, kernel = residuals
  d_inputs = einsum('bty,xy->btx', gradient, kernel, dtype)
  d_kernel = einsum('btx,bty->xy', inputs, gradient, dtype)
  return d_inputs.astype(inputs.dtype), d_kernel.astype(kernel.dtype)


_dense.defvjp(_dense_forward, _dense_backward)
