"""Frames by sparsely-used dictionary learning, to compare.

SPEAR++ (Bakarsky et al. 2025, arXiv 2510.24200) takes apart what the update of
a layer with ReLUs spans as a dictionary of which every sample uses few entries.
Here the samples are the units, the entries the frames: a direction q is wanted
for which B q has many zeros, B being an orthonormal basis of the span. Each is
found by itself, by alternating directions (Qu, Sun and Wright 2014)

  x = soft(B q, w),      q = B'x / |B'x|

from every row of B, for several w, and is made exact and accepted as those of
`sparse_frames`. What keeps such searches apart, and what knows of order or of
sign, is left out.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks.ds2 import sparse_frames

# Widths that are tried, each for itself, in a vector's effective value. Those
# near 1, which Qu et al. take for entries of either sign, find nothing here.
_WIDTHS = (0.02, 0.05, 0.1, 0.3)


def frames(
  basis: Float[np.ndarray, 'units rank'], cfg: config.DemixingConfig
) -> sparse_frames.Frames:
  """Sparse nonnegative directions of a subspace, each found by itself."""
  found = sparse_frames.Frames(np.zeros((0, len(basis))), np.zeros(0, int))
  rows = jnp.asarray(basis, jnp.float32)
  for width in _WIDTHS:
    columns = np.asarray(
      _alternated(rows, width, cfg.num_search_iterations), np.float64
    )
    columns = columns[columns.any(1)]
    # A direction is as sparse as its negative.
    signs = np.sign((columns @ basis.T).sum(1, keepdims=True))
    found = sparse_frames.accepted(basis, signs * columns, found)
  return found


@functools.partial(jax.jit, static_argnums=2)
def _alternated(
  basis: Float[Array, 'units rank'],
  width: float | Float[Array, ''],
  num_iterations: int,
) -> Float[Array, 'units rank']:
  """A unit vector from each row; zeros where all of it was shrunk."""
  width = width / jnp.sqrt(float(len(basis)))

  def unit(columns: jax.Array) -> jax.Array:
    lengths = jnp.linalg.norm(columns, axis=1, keepdims=True)
    return columns / jnp.maximum(lengths, 1e-30)

  def step(columns: jax.Array, _: None) -> tuple[jax.Array, None]:
    values = columns @ basis.T
    shrunk = jnp.sign(values) * jnp.maximum(jnp.abs(values) - width, 0)
    return unit(shrunk @ basis), None

  columns, _ = jax.lax.scan(step, unit(basis), None, length=num_iterations)
  return columns
