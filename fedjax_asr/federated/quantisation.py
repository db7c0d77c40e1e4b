"""Whole numbers in place of an update's, with a scale for each array.

The scale is of the largest magnitude in an array and not of its length, as in
the experiments of QSGD (Alistarh et al. 2017): the levels then reach as far as
the numbers and no further.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8, PyTree

from fedjax_asr import config, streams

_AnyFloat = Float[Array, '...']
_AnyLevel = Int8[Array, '...']


class Quantised(NamedTuple):
  """An update as levels times scales.

  levels: in the shapes of the update.
  scales: a number for each array; 0 where the array is zero, and not finite
    where it is not, so that a client that is broken is found out.
  """

  levels: PyTree
  scales: PyTree


def largest_level(bits: int) -> int:
  """Levels are whole numbers from minus this to this.

  Of one bit they are -1 and 1 alone: there is no room for 0.
  """
  return max(2 ** (bits - 1) - 1, 1)


def quantised(
  update: PyTree, bits: int, rounding: config.Rounding, key: jax.Array
) -> Quantised:
  """Of `bits` bits each, the outer levels at an array's largest magnitude.

  With stochastic rounding each number is a neighbouring level, and by
  expectation itself: with scale u of n numbers x, the squared error is expected
  to be u |x|_1 and n u^2 / 4 at most; of one bit it is n u^2 - |x|^2. Nearest
  needs two bits or more, and loses less than it is given. An array of zeros
  stays one, and of two bits or more each zero does.
  """
  outer = largest_level(bits)
  scales = jax.tree.map(lambda leaf: _scale(leaf, outer), update)
  match rounding:
    case config.Rounding.NEAREST:
      levels = jax.tree.map(
        lambda leaf, scale: _rounded(leaf, scale, outer, jnp.round),
        update,
        scales,
      )
    case config.Rounding.STOCHASTIC:
      up = _of_one_bit if bits == 1 else _by_draw
      levels = jax.tree.map(
        lambda leaf, scale, draw: _rounded(leaf, scale, outer, up(draw)),
        update,
        scales,
        _draws(update, key),
      )
  return Quantised(levels, scales)


def signs(update: PyTree) -> Quantised:
  """-1, 0 or 1 times the array's mean absolute value."""
  return Quantised(
    levels=jax.tree.map(lambda leaf: jnp.sign(leaf).astype(jnp.int8), update),
    scales=jax.tree.map(lambda leaf: jnp.abs(leaf).mean(), update),
  )


def dequantised(coded: Quantised) -> PyTree:
  """The update that it stands for."""
  return jax.tree.map(
    lambda level, scale: level.astype(jnp.float32) * scale,
    coded.levels,
    coded.scales,
  )


def _scale(values: _AnyFloat, outer: int) -> Float[Array, '']:
  """0 also where XLA would take it for zero; what is not finite stays so."""
  scale = jnp.abs(values).max() / outer
  return jnp.where(scale < jnp.finfo(jnp.float32).tiny, 0.0, scale)


def _rounded(
  values: _AnyFloat,
  scale: Float[Array, ''],
  outer: int,
  rounded: Callable[[_AnyFloat], _AnyFloat],
) -> _AnyLevel:
  """Levels from -outer to outer; 0 of a scale of 0, but of one bit."""
  positions = jnp.where(scale == 0, 0.0, values / scale)
  # A draw near 1 may carry the largest past the end.
  return jnp.clip(rounded(positions), -outer, outer).astype(jnp.int8)


def _by_draw(draw: _AnyFloat) -> Callable[[_AnyFloat], _AnyFloat]:
  return lambda position: jnp.floor(position + draw)


def _of_one_bit(draw: _AnyFloat) -> Callable[[_AnyFloat], _AnyFloat]:
  return lambda position: jnp.where(2 * draw < 1 + position, 1.0, -1.0)


def _draws(update: PyTree, key: jax.Array) -> PyTree:
  """Uniform, in the shapes of the update; one draw compiles sooner."""
  flat, like_update = jax.flatten_util.ravel_pytree(update)
  key = streams.of_client(key, streams.ClientStream.CODING)
  return like_update(jax.random.uniform(key, flat.shape))
