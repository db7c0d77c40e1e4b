"""Frames by sparsely-used dictionary learning, to compare.

SPEAR++ (Bakarsky et al. 2025, arXiv 2510.24200) takes apart what the update of
a layer with ReLUs spans as a dictionary of which every sample uses few entries.
Here the samples are the units, the entries the frames: a direction q is wanted
for which B q has many zeros, B being an orthonormal basis of the span. Each is
found by itself, by alternating directions (Qu, Sun and Wright 2014)

  x = soft(B q, w),      q = B'x / |B'x|

from every row of B, and is made exact and accepted as those of `sparse_frames`.
What keeps such searches apart, and what knows of order or of sign, is left out.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks.ds2 import sparse_frames

# Of a vector's mean square entry, what is shrunk to zero (Qu et al. 2014, 3).
_THRESHOLD = 1.0


def frames(
  basis: Float[np.ndarray, 'units rank'], cfg: config.DemixingConfig
) -> sparse_frames.Frames:
  """Sparse nonnegative directions of a subspace, each found by itself."""
  columns = np.asarray(
    _alternated(jnp.asarray(basis, jnp.float32), cfg.num_search_iterations),
    np.float64,
  )
  # A direction is as sparse as its negative.
  signs = np.sign((columns @ basis.T).sum(1, keepdims=True))
  none = sparse_frames.Frames(np.zeros((0, len(basis))), np.zeros(0, int))
  return sparse_frames.accepted(basis, signs * columns, none)


@functools.partial(jax.jit, static_argnums=1)
def _alternated(
  basis: Float[Array, 'units rank'], num_iterations: int
) -> Float[Array, 'units rank']:
  """A unit vector from each row."""
  width = _THRESHOLD / jnp.sqrt(float(len(basis)))

  def unit(columns: jax.Array) -> jax.Array:
    lengths = jnp.linalg.norm(columns, axis=1, keepdims=True)
    return columns / jnp.maximum(lengths, 1e-30)

  def step(columns: jax.Array, _: None) -> tuple[jax.Array, None]:
    values = columns @ basis.T
    shrunk = jnp.sign(values) * jnp.maximum(jnp.abs(values) - width, 0)
    return unit(shrunk @ basis), None

  columns, _ = jax.lax.scan(step, unit(basis), None, length=num_iterations)
  return columns
