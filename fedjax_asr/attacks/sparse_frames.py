"""The frames that span a subspace, told from their mixtures by their zeros.

A clipped ReLU leaves about half of a frame's units at zero, and none below.
In a subspace that frames u_1..u_n span, a frame is therefore a vector without
negative entries and with hundreds of zeros, where a mixture of frames has at
most n - 1 to spare. So the frames are minima of

  sum_j mean_i log(1 + (v_ij / e)^2) / log(1 + 1 / e^2)
    + 10 sum_j mean_i min(v_ij, 0)^2 - mu log|det A|,      v = B A,

over the n unit columns of A, for an orthonormal basis B and v scaled to mean
square 1. The first term counts what is not zero as e falls; the determinant
keeps columns from finding the same frame (as volumes do in nonnegative matrix
factorisation). A minimum is made exact by the null vector of its zero rows.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from fedjax_asr import config

_NEGATIVE_WEIGHT = 10.0
_WIDTH = (0.3, 0.05)
_VOLUME = (1.0, 0.01)
_RATE = 0.02
_POLISH_WIDTH = (0.05, 0.005)
_POLISH_RATE = 0.005
# Relative to a frame's largest entry.
_ZERO = 1e-5
# Zeros beyond those that any vector of the subspace can be made to have.
_SPARE_ZEROS = 0.05
_ZERO_ROWS = 0.25
_SAME = 1 - 1e-4


class Frames(NamedTuple):
  """Unit vectors of the subspace, without negative entries, none twice."""

  directions: Float[np.ndarray, 'frames units']
  num_zeros: Int[np.ndarray, ' frames']


def frames(
  basis: Float[np.ndarray, 'units rank'],
  cfg: config.DemixingConfig,
  key: jax.Array,
  report: Callable[[str], None] | None = None,
) -> Frames:
  """The sparse nonnegative directions of a subspace, in no order.

  As many as its rank where all were found; at most `cfg.num_searches` searches
  are made, each with the directions of those before as a start.
  """
  _, rank = basis.shape
  found = Frames(np.zeros((0, len(basis))), np.zeros(0, int))
  seed = int(jax.random.bits(key))
  for search in range(cfg.num_searches):
    rng = np.random.default_rng([seed, search])
    # On the CPU: a determinant at each of thousands of steps is small and
    # sequential, and takes a GPU ten times as long.
    with jax.default_device(jax.devices('cpu')[0]):
      columns = _searched(
        jnp.asarray(basis, jnp.float32),
        jnp.asarray(_starts(basis, found.directions, rng), jnp.float32),
        cfg.num_search_iterations,
      )
    found = _accepted(basis, np.asarray(columns, np.float64), found)
    if report:
      report(f'frames {len(found.directions)}/{rank}, search {search + 1}')
    if len(found.directions) >= rank:
      break
  return found


def _starts(basis, known, rng):
  """[rank, rank]: what is known, and random vectors orthogonal to it."""
  units, rank = basis.shape
  draws = rng.standard_normal((rank - len(known), units))
  columns = np.abs(draws) ** 3 @ basis
  coordinates = known @ basis
  if len(known):
    orthogonal, _ = np.linalg.qr(coordinates.T)
    columns = columns - (columns @ orthogonal) @ orthogonal.T
  columns = columns / np.linalg.norm(columns, axis=1, keepdims=True)
  return np.concatenate([coordinates, columns])


def _objective(basis, columns, width, volume):
  unit = columns / jnp.linalg.norm(columns, axis=1, keepdims=True)
  values = unit @ basis.T * jnp.sqrt(float(len(basis)))
  count = jnp.log1p((values / width) ** 2) / jnp.log1p(1 / width**2)
  negative = jnp.minimum(values, 0) ** 2
  total = (count + _NEGATIVE_WEIGHT * negative).mean(1).sum()
  return total - volume * jnp.linalg.slogdet(unit)[1]


@functools.partial(jax.jit, static_argnums=2)
def _searched(basis, columns, num_iterations):
  """Joint descent, then each column by itself, without the volume."""
  columns = _descended(basis, columns, num_iterations, _WIDTH, _VOLUME, _RATE)
  return _descended(
    basis, columns, num_iterations // 3, _POLISH_WIDTH, None, _POLISH_RATE
  )


def _descended(basis, columns, num_iterations, widths, volumes, rate):
  optimizer = optax.adam(optax.cosine_decay_schedule(rate, num_iterations))

  def step(carry, index):
    columns, state = carry
    part = index / num_iterations
    width = _between(widths, part)
    volume = 0.0 if volumes is None else _between(volumes, part)
    columns = columns / jnp.linalg.norm(columns, axis=1, keepdims=True)
    gradient = jax.grad(_objective, 1)(basis, columns, width, volume)
    updates, state = optimizer.update(gradient, state)
    return (columns + updates, state), None

  start = (columns, optimizer.init(columns))
  (columns, _), _ = jax.lax.scan(step, start, jnp.arange(num_iterations))
  return columns


def _between(ends, part):
  """From the first to the second, geometrically."""
  return ends[0] * (ends[1] / ends[0]) ** part


def _accepted(basis, columns, found):
  """The known frames and those that these columns lead to."""
  units, rank = basis.shape
  wanted = rank + _SPARE_ZEROS * units
  for column in columns:
    if not np.isfinite(column).all():
      continue
    values = _exact(basis, column)
    zeros = int((np.abs(values) < _ZERO * values.max()).sum())
    is_frame = zeros >= wanted and values.min() > -_ZERO * values.max()
    if is_frame and not (found.directions @ values > _SAME).any():
      found = Frames(
        np.vstack([found.directions, values]), np.append(found.num_zeros, zeros)
      )
  return found


def _exact(
  basis: Float[np.ndarray, 'units rank'], column: Float[np.ndarray, ' rank']
) -> Float[np.ndarray, ' units']:
  """The unit vector of the subspace that vanishes where this one nearly does.

  Its least entries, more of them than the rank, are taken for zeros.
  """
  units, rank = basis.shape
  values = basis @ column
  count = max(rank + 10, int(_ZERO_ROWS * units))
  for _ in range(4):
    rows = basis[np.argsort(np.abs(values))[:count]]
    _, vectors = np.linalg.eigh(rows.T @ rows)
    values = basis @ vectors[:, 0]
    values *= np.sign(values.sum())
  return values
