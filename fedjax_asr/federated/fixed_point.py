"""Updates as integers modulo 2^32, whose sums are exact in any order.

A number is so many units, and 2^bits units are the norm at which updates are
clipped: a public factor. Negative numbers are two's complements. Bits are so
few that the sum over a cohort, noise and all, stays within 31 bits and a sign,
so that wrapping around never changes what is decoded.
"""

import math
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, UInt32

from fedjax_asr import config

# The largest sum that is decoded with the right sign.
LARGEST = 2**31 - 1


class Format(NamedTuple):
  """clip_norm: of an update, which is 2^bits units."""

  clip_norm: float
  bits: int

  @property
  def unit(self) -> float:
    return self.clip_norm / 2**self.bits


def encoded(
  flat: Float[Array, ' numbers'], form: Format, key: jax.Array
) -> UInt32[Array, ' numbers']:
  """In units, rounded up or down at random, so that the mean is the number.

  No longer than 2^bits units whatever is drawn: rounding lengthens an update by
  less than the root of its size, and one that is longer than what that leaves
  is scaled to it. `key` is of what anybody may know.

  Raises:
    config.ConfigError: the update has so many numbers that hardly anything is
      left; when the round is compiled.
  """
  most = 2**form.bits - math.sqrt(flat.size)
  if most < 2 ** (form.bits - 1):
    raise config.ConfigError(
      'config.federated.secure_aggregation.enabled=True; want a smaller '
      'federated.privacy.central_noise_multiplier or federated.cohort_size, '
      f'which leave {form.bits} bits for clip_norm: too few for a model of '
      f'{flat.size:,} parameters.'
    )
  exact = flat / form.unit
  norm = jnp.linalg.norm(exact)
  exact = exact * jnp.where(norm > most, most / norm, 1.0)
  # A float32 beyond 2^24 has no fraction: adding the draw to it would round.
  below = jnp.floor(exact)
  goes_up = jax.random.uniform(key, flat.shape) < exact - below
  return bits_of(below.astype(jnp.int32) + goes_up)


def bits_of(integers: jax.Array) -> jax.Array:
  """Signed as unsigned."""
  return jax.lax.bitcast_convert_type(integers.astype(jnp.int32), jnp.uint32)


def decoded(total: PyTree, form: Format) -> PyTree:
  """The numbers that a sum of encoded ones stands for, as float32."""
  return jax.tree.map(
    lambda leaf: (
      jax.lax.bitcast_convert_type(leaf, jnp.int32).astype(jnp.float32)
      * form.unit
    ),
    total,
  )
