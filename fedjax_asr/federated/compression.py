"""Coded updates, as the server decodes them.

Nothing is kept from round to round: clients are stateless, so what a code
loses is not fed back. Running averages of batch norm are sent as they are.
"""

from collections.abc import Callable

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from fedjax_asr import config, streams
from fedjax_asr.federated import channel

_AnyFloat = Float[Array, '...']


def coding(cfg: config.CompressionConfig) -> channel.Channel:
  """A client's update, coded and decoded."""
  return channel.of_params(
    lambda params, sender: compressed(params, cfg, sender.key)
  )


def compressed(
  update: PyTree, cfg: config.CompressionConfig, key: jax.Array
) -> PyTree:
  """The update after coding and decoding, in float32; zero stays zero.

  float16 (beyond its range, its largest value) and bfloat16: rounded to
  nearest. int8: symmetric, a scale for each array; with stochastic rounding
  unbiased (QSGD, Alistarh et al. 2017). sign: times the array's mean absolute
  value (Bernstein et al. 2018; Karimireddy et al. 2019). top_k: the largest of
  the whole update, with all that equal the smallest of them.
  The update itself for the method none. `key` is the client's in the round.
  """
  match cfg.method:
    case config.Compression.NONE:
      return update
    case config.Compression.FLOAT16:
      return jax.tree.map(_float16, update)
    case config.Compression.BFLOAT16:
      return jax.tree.map(_bfloat16, update)
    case config.Compression.INT8:
      return _int8(update, cfg.rounding, key)
    case config.Compression.SIGN:
      return jax.tree.map(_sign, update)
    case config.Compression.TOP_K:
      return _top_k(update, cfg.top_fraction)


# Not by conversion there and back, which XLA may leave out: it takes more
# precision than asked for as an improvement.
def _float16(values: _AnyFloat) -> _AnyFloat:
  limit = float(jnp.finfo(jnp.float16).max)
  values = jnp.clip(values, -limit, limit)
  normal = jax.lax.reduce_precision(values, exponent_bits=5, mantissa_bits=10)
  # `reduce_precision` has no subnormal numbers, where most gradients lie.
  subnormal = jnp.round(values * 2.0**24) * 2.0**-24
  return jnp.where(jnp.abs(values) < 2.0**-14, subnormal, normal)


def _bfloat16(values: _AnyFloat) -> _AnyFloat:
  return jax.lax.reduce_precision(values, exponent_bits=8, mantissa_bits=7)


def _int8(update: PyTree, rounding: config.Rounding, key: jax.Array) -> PyTree:
  match rounding:
    case config.Rounding.NEAREST:
      return jax.tree.map(lambda leaf: _levels(leaf, jnp.round), update)
    case config.Rounding.STOCHASTIC:
      flat, like_update = jax.flatten_util.ravel_pytree(update)
      draws = jax.random.uniform(
        streams.of_client(key, streams.ClientStream.CODING), flat.shape
      )
      return jax.tree.map(
        lambda leaf, draw: _levels(leaf, lambda level: jnp.floor(level + draw)),
        update,
        like_update(draws),
      )


def _levels(
  values: _AnyFloat, rounded: Callable[[jax.Array], jax.Array]
) -> _AnyFloat:
  """Rounded to 255 levels, the outer ones at the largest magnitude."""
  largest = jnp.abs(values).max()
  scale = jnp.where(largest > 0, largest / 127, 1.0)
  # A draw near 1 may carry the largest past the end.
  return jnp.clip(rounded(values / scale), -127, 127) * scale


def _sign(values: _AnyFloat) -> _AnyFloat:
  return jnp.sign(values) * jnp.abs(values).mean()


def _top_k(update: PyTree, fraction: float) -> PyTree:
  sizes = jax.tree.map(jnp.abs, update)
  count = sum(leaf.size for leaf in jax.tree.leaves(update))
  threshold = _kth_largest(sizes, max(1, round(fraction * count)))
  return jax.tree.map(
    lambda leaf, size: jnp.where(size >= threshold, leaf, 0), update, sizes
  )


def _kth_largest(sizes: PyTree, k: int) -> Float[Array, '']:
  """Of non-negative float32 numbers, exactly.

  Such numbers are ordered as their bits are, so that the answer's bits are
  found one after another by counting: no copy, no sort of the whole update.
  """
  leaves = [
    jax.lax.bitcast_convert_type(leaf, jnp.uint32)
    for leaf in jax.tree.leaves(sizes)
  ]

  def with_bit(index, found):
    tried = found | (jnp.uint32(1) << (30 - index).astype(jnp.uint32))
    reached = sum((leaf >= tried).sum() for leaf in leaves)
    return jnp.where(reached >= k, tried, found)

  bits = jax.lax.fori_loop(0, 31, with_bit, jnp.uint32(0))
  return jax.lax.bitcast_convert_type(bits, jnp.float32)
