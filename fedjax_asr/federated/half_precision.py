"""Numbers of two bytes, as float32 numbers that have such a one.

Not by conversion there and back, which XLA may leave out: it takes more
precision than asked for as an improvement.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_AnyFloat = Float[Array, '...']


def float16(values: _AnyFloat) -> _AnyFloat:
  """Rounded to nearest; beyond the range, the largest value in it."""
  limit = float(jnp.finfo(jnp.float16).max)
  values = jnp.clip(values, -limit, limit)
  normal = jax.lax.reduce_precision(values, exponent_bits=5, mantissa_bits=10)
  # `reduce_precision` has no subnormal numbers, where most gradients lie.
  subnormal = jnp.round(values * 2.0**24) * 2.0**-24
  return jnp.where(jnp.abs(values) < 2.0**-14, subnormal, normal)


def bfloat16(values: _AnyFloat) -> _AnyFloat:
  """Rounded to nearest, ties to even."""
  return jax.lax.reduce_precision(values, exponent_bits=8, mantissa_bits=7)
