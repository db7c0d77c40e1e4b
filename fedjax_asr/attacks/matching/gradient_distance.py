"""How far one update is from another: what gradient matching minimises.

Updates are {name: values}. All distances are relative, so that they do not
depend on the size of the model or of the learning rate:

  cosine     1 - <g, t> / (|g| |t|)
  l2         |g - t|^2 / |t|^2
  l1         sum |g - t| / sum |t|
  cosine_l2  cosine + l2
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config

# Under any product of gradients that is not zero in float32.
_TINY = 1e-37
# Of the target's norm.
_ROUNDING = 1e-6

Tree = dict[str, jax.Array]


class Target(NamedTuple):
  """The update to match.

  threshold: entries of a smaller magnitude do not count.
  """

  values: Tree
  threshold: Float[Array, '']


def target(values: dict[str, np.ndarray], top_fraction: float) -> Target:
  """The largest entries by magnitude, all layers taken together.

  ceil(top_fraction * entries) of them, and those that tie with the last.
  """
  magnitudes = np.concatenate(
    [np.abs(np.ravel(leaf)) for leaf in values.values()]
  )
  rank = len(magnitudes) - int(np.ceil(top_fraction * len(magnitudes)))
  threshold = np.partition(magnitudes, rank)[rank] if rank else 0.0
  return Target(
    jax.tree.map(jnp.asarray, values),
    jnp.asarray(threshold, magnitudes.dtype),
  )


def distance(
  kind: config.Distance, update: Tree, wanted: Target, *, per_layer: bool
) -> Float[Array, '']:
  """Distance of the entries that count.

  `per_layer` takes it for each name by itself, then the mean over the names
  whose target is more than rounding (a bias ahead of a batch norm has a
  gradient of 1e-9 for 0): longer than 1e-6 of the whole target. Its gradient
  is finite everywhere, at an update of zeros too.
  """
  kept = {
    name: jnp.where(jnp.abs(leaf) >= wanted.threshold, 1.0, 0.0)
    for name, leaf in wanted.values.items()
  }
  got = {name: update[name] * kept[name] for name in kept}
  want = {name: wanted.values[name] * kept[name] for name in kept}
  if not per_layer:
    return _distance(kind, _sums(got, want))
  each = [_sums({name: got[name]}, {name: want[name]}) for name in kept]
  squares = jnp.stack([sums.want_squares for sums in each])
  counts = squares > _ROUNDING**2 * squares.sum()
  # Cleared ahead as well: infinity would reach the gradient.
  each = [
    jax.tree.map(lambda total, real=real: jnp.where(real, total, 1), sums)
    for sums, real in zip(each, counts, strict=True)
  ]
  distances = jnp.stack([_distance(kind, sums) for sums in each])
  return jnp.where(counts, distances, 0).sum() / jnp.maximum(counts.sum(), 1)


class _Sums(NamedTuple):
  product: jax.Array
  got_squares: jax.Array
  want_squares: jax.Array
  error_squares: jax.Array
  error: jax.Array
  want: jax.Array


def _sums(got: Tree, want: Tree) -> _Sums:
  """All that the distances are made of."""

  def total(function: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    leaves = [function(got[name], want[name]).sum() for name in got]
    return jnp.stack(leaves).sum()

  return _Sums(
    product=total(jnp.multiply),
    got_squares=total(lambda g, t: g * g),
    want_squares=total(lambda g, t: t * t),
    error_squares=total(lambda g, t: jnp.square(g - t)),
    error=total(lambda g, t: jnp.abs(g - t)),
    want=total(lambda g, t: jnp.abs(t)),
  )


def _distance(kind: config.Distance, sums: _Sums) -> Float[Array, '']:
  want_squares = jnp.maximum(sums.want_squares, _TINY)
  # Divided twice: the product of the squares may be too small for float32.
  similarity = sums.product / jnp.sqrt(want_squares)
  cosine = 1 - similarity / jnp.sqrt(jnp.maximum(sums.got_squares, _TINY))
  l2 = sums.error_squares / want_squares
  match kind:
    case config.Distance.COSINE:
      return cosine
    case config.Distance.L2:
      return l2
    case config.Distance.L1:
      return sums.error / jnp.maximum(sums.want, _TINY)
    case config.Distance.COSINE_L2:
      return cosine + l2
