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

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.attacks import observation, together

# Relative to a frame's largest entry.
_ZERO = 1e-5
# A row of an orthonormal basis.
_DEAD = 1e-9
# Zeros beyond those that any vector of the subspace can be made to have.
_SPARE_ZEROS = 0.05
# Also relative: what a search leaves of zeros.
_NEAR_ZERO = 0.02
_ZERO_ROWS = 0.25
_CORNER_WIDTH = 0.02
# Linear programs are slow: for the last frames, this share of them.
_FEW = 0.2
_MAX_CORNERS = 8
# So many searches that find nothing new end in programs, two a known frame.
_MAX_TRIES = 2
_SAME = 1 - 1e-4
# The second least eigenvalue of the rows that vanish; of true frames it is
# 1e-3 and more.
_ONLY_ONE = 1e-4


class _Schedule(NamedTuple):
  """What a descent goes through, from the first to the second value."""

  width: tuple[float, float]
  negative: tuple[float, float]
  volume: tuple[float, float] | None
  rate: float


# In turn: a last frame that is much like its neighbours is only kept off these
# by more weight on the volume.
_JOINT = (
  _Schedule((0.3, 0.05), (10.0, 10.0), (1.0, 0.01), 0.02),
  _Schedule((0.3, 0.05), (10.0, 10.0), (1.0, 0.1), 0.02),
)
# By itself: what keeps a column from its frame are small negative entries,
# which now cost more. Some need to see further on the way, others get lost.
_ALONE = (
  _Schedule((0.05, 0.005), (10.0, 1000.0), None, 0.005),
  _Schedule((0.3, 0.005), (100.0, 1000.0), None, 0.005),
)
# Starts of one search where little is missing.
_MAX_STARTS = 4


class Frames(NamedTuple):
  """Unit vectors of the subspace, without negative entries, none twice."""

  directions: Float[np.ndarray, 'frames units']
  num_zeros: Int[np.ndarray, ' frames']


def frames(
  basis: Float[np.ndarray, 'units rank'],
  cfg: config.DemixingConfig,
  key: jax.Array,
  report: observation.Report | None = None,
  known: Float[np.ndarray, 'known units'] | None = None,
) -> Frames:
  """The sparse nonnegative directions of a subspace, in no order.

  As many as its rank where all were found; of those that are `known`
  beforehand, what is one comes first.
  At most `cfg.num_searches` searches are made, each for what those before did
  not find: the determinant is of what lies outside of the known frames' span.
  """
  _, rank = basis.shape
  found = Frames(np.zeros((0, len(basis))), np.zeros(0, int))
  for values in found.directions if known is None else known:
    found = _with(basis, found, values)
  seed = int(jax.random.bits(key))
  tries = _MAX_TRIES
  for search in range(cfg.num_searches):
    if report:
      report(
        f'{len(found.directions)} of {rank} frames found, search {search + 1} '
        f'of at most {cfg.num_searches}'
      )
    outside = _outside(found.directions @ basis)
    rng = np.random.default_rng([seed, search])
    # On the CPU: a determinant at each of thousands of steps is small and
    # sequential, and takes a GPU ten times as long.
    with jax.default_device(jax.devices('cpu')[0]):
      arrays = basis, outside, _starts(basis, outside, rng)
      columns = together.call(
        _searched,
        (cfg.num_search_iterations, _JOINT[search % len(_JOINT)]),
        (),
        tuple(jnp.asarray(each, jnp.float32) for each in arrays),
      )
    before = len(found.directions)
    found = accepted(basis, np.asarray(columns, np.float64), found)
    is_stuck = len(found.directions) == before
    if is_stuck and tries and rank - before <= _FEW * rank:
      tries -= 1
      found = _with_neighbours(basis, found, rng)
    if len(found.directions) >= rank:
      break
  return found


def _outside(
  known: Float[np.ndarray, 'frames rank'],
) -> Float[np.ndarray, 'rank missing']:
  """Orthonormal, orthogonal to what is known."""
  full, _ = np.linalg.qr(known.T, 'complete')
  return full[:, len(known) :]


def _starts(
  basis: Float[np.ndarray, 'units rank'],
  outside: Float[np.ndarray, 'rank missing'],
  rng: np.random.Generator,
) -> Float[np.ndarray, 'starts missing rank']:
  """Random unit vectors outside of what is known."""
  units, rank = basis.shape
  missing = outside.shape[1]
  starts = min(_MAX_STARTS, rank // missing)
  draws = rng.standard_normal((starts, missing, units))
  columns = np.abs(draws) ** 3 @ basis @ outside @ outside.T
  return columns / np.linalg.norm(columns, axis=2, keepdims=True)


def _searched(
  num_iterations: int,
  schedule: _Schedule,
  shared: tuple[()],
  own: tuple[jax.Array, jax.Array, jax.Array],
) -> Float[Array, 'columns rank']:
  """Joint descents, then each column by itself."""
  del shared
  basis, outside, starts = own

  def joint(columns: jax.Array) -> jax.Array:
    return _descended(basis, outside, columns, num_iterations, schedule)

  columns = jax.vmap(joint)(starts).reshape(-1, basis.shape[1])
  return jnp.concatenate(
    [
      _descended(basis, outside, columns, num_iterations // 3, alone)
      for alone in _ALONE
    ]
  )


def _descended(
  basis: Float[Array, 'units rank'],
  outside: Float[Array, 'rank missing'],
  columns: Float[Array, 'columns rank'],
  num_iterations: int,
  schedule: _Schedule,
) -> Float[Array, 'columns rank']:
  optimizer = optax.adam(
    optax.cosine_decay_schedule(schedule.rate, num_iterations)
  )

  def step(
    carry: tuple[jax.Array, Any], index: jax.Array
  ) -> tuple[tuple[jax.Array, Any], None]:
    columns, state = carry
    part = index / num_iterations
    columns = columns / jnp.linalg.norm(columns, axis=1, keepdims=True)
    gradient = jax.grad(_objective)(columns, basis, outside, schedule, part)
    updates, state = optimizer.update(gradient, state)
    return (columns + updates, state), None

  start = (columns, optimizer.init(columns))
  (columns, _), _ = jax.lax.scan(step, start, jnp.arange(num_iterations))
  return columns


def _objective(
  columns: Float[Array, 'columns rank'],
  basis: Float[Array, 'units rank'],
  outside: Float[Array, 'rank missing'],
  schedule: _Schedule,
  part: Float[Array, ''],
) -> Float[Array, '']:
  unit = columns / jnp.linalg.norm(columns, axis=1, keepdims=True)
  values = unit @ basis.T * jnp.sqrt(float(len(basis)))
  width = _between(schedule.width, part)
  count = jnp.log1p((values / width) ** 2) / jnp.log1p(1 / width**2)
  negative = jnp.minimum(values, 0) ** 2
  total = count + _between(schedule.negative, part) * negative
  if schedule.volume is None:
    return total.mean(1).sum()
  _, volume = jnp.linalg.slogdet(unit @ outside)
  return total.mean(1).sum() - _between(schedule.volume, part) * volume


def _between(
  ends: tuple[float, float], part: Float[Array, '']
) -> Float[Array, '']:
  """From the first to the second, geometrically."""
  return ends[0] * (ends[1] / ends[0]) ** part


def accepted(
  basis: Float[np.ndarray, 'units rank'],
  columns: Float[np.ndarray, 'columns rank'],
  found: Frames,
) -> Frames:
  """The known frames and those that these columns lead to."""
  rank = basis.shape[1]
  candidates = _candidates(basis, columns)
  for values in candidates:
    found = _with(basis, found, _rounded(basis, values))
  if rank - len(found.directions) > _FEW * rank:
    return found
  left = [
    values for values in candidates if not is_among(values, found.directions)
  ]
  for values in left[:_MAX_CORNERS]:
    found = _with(basis, found, _at_corner(basis, values))
  return found


def _with_neighbours(
  basis: Float[np.ndarray, 'units rank'],
  found: Frames,
  rng: np.random.Generator,
) -> Frames:
  """The known frames, and those much like one of them.

  A search takes such a frame for the one that it is like. With a given part
  outside of all known frames' span, what costs least where one of them vanishes
  is a frame that vanishes there, too.
  """
  rank = basis.shape[1]
  for known in found.directions:
    missing = rank - len(found.directions)
    if not missing:
      break
    toward = _outside(found.directions @ basis) @ rng.standard_normal(missing)
    for sign in (1.0, -1.0):
      values = cheapest(basis, sign * toward, _costs(known))
      if values is not None:
        found = _with(basis, found, values)
  return found


def _candidates(
  basis: Float[np.ndarray, 'units rank'],
  columns: Float[np.ndarray, 'columns rank'],
) -> Float[np.ndarray, 'candidates units']:
  """Distinct unit vectors with zeros enough, those with the most first."""
  values = columns @ basis.T
  values = values[np.isfinite(values).all(1)]
  values /= np.linalg.norm(values, axis=1, keepdims=True)
  near = np.abs(values) < _NEAR_ZERO * values.max(1, keepdims=True)
  count = near.sum(1)
  candidates = np.zeros((0, len(basis)))
  for index in np.argsort(-count, kind='stable'):
    is_new = not is_among(values[index], candidates)
    if is_new and count[index] >= _zeros_wanted(basis):
      candidates = np.vstack([candidates, values[index]])
  return candidates


def _with(
  basis: Float[np.ndarray, 'units rank'],
  found: Frames,
  values: Float[np.ndarray, ' units'],
) -> Frames:
  """These too where they are a frame that is not yet known."""
  if not _is_frame(basis, values) or is_among(values, found.directions):
    return found
  zeros = int((np.abs(values) < _ZERO * values.max()).sum())
  return Frames(
    np.vstack([found.directions, values]), np.append(found.num_zeros, zeros)
  )


def is_among(
  values: Float[np.ndarray, ' units'],
  directions: Float[np.ndarray, 'frames units'],
) -> bool:
  return bool((directions @ values > _SAME).any())


def _is_frame(
  basis: Float[np.ndarray, 'units rank'], values: Float[np.ndarray, ' units']
) -> bool:
  """Nonnegative, with zeros enough, and the only one with these zeros.

  A sum of two frames keeps the zeros that they share, often enough of them; but
  then either frame has these too.
  """
  is_zero = np.abs(values) < _ZERO * values.max()
  if values.min() < -_ZERO * values.max():
    return False
  if is_zero.sum() < _zeros_wanted(basis):
    return False
  rows = basis[is_zero]
  return bool(np.linalg.eigvalsh(rows.T @ rows)[1] > _ONLY_ONE)


def _zeros_wanted(basis: Float[np.ndarray, 'units rank']) -> float:
  """Units that are zero in all of the subspace do not count as a frame's."""
  units, rank = basis.shape
  num_dead = (np.linalg.norm(basis, axis=1) < _DEAD).sum()
  return rank + _SPARE_ZEROS * units + num_dead


def _rounded(
  basis: Float[np.ndarray, 'units rank'], values: Float[np.ndarray, ' units']
) -> Float[np.ndarray, ' units']:
  """The unit vector of the subspace that vanishes where this one nearly does.

  Its least entries, more of them than the rank, are taken for zeros.
  """
  units, rank = basis.shape
  count = max(rank + 10, int(_ZERO_ROWS * units))
  for _ in range(4):
    rows = basis[np.argsort(np.abs(values))[:count]]
    _, vectors = np.linalg.eigh(rows.T @ rows)
    values = basis @ vectors[:, 0]
    values *= np.sign(values.sum())
  return values


def _at_corner(
  basis: Float[np.ndarray, 'units rank'], values: Float[np.ndarray, ' units']
) -> Float[np.ndarray, ' units']:
  """The corner of the subspace's nonnegative vectors that this one points to.

  By a linear program; slower, but not misled by small entries.
  """
  values = np.maximum(values, 0)
  for _ in range(2):
    corner = cheapest(basis, values @ basis, _costs(values))
    if corner is None:
      break
    values = corner
    if _is_frame(basis, values):
      break
  return values


def _costs(
  values: Float[np.ndarray, ' units'],
) -> Float[np.ndarray, ' units']:
  """High where these vanish."""
  costs = 1 / (values + _CORNER_WIDTH * values.max())
  return costs / costs.sum()


def cheapest(
  basis: Float[np.ndarray, 'units rank'],
  toward: Float[np.ndarray, ' rank'],
  costs: Float[np.ndarray, ' units'],
) -> Float[np.ndarray, ' units'] | None:
  """The unit vector of the subspace, without negative entries, that costs least
  for its part along `toward`; None where no such vector has one."""
  # Imported here: it takes long, and only this attack needs it.
  from scipy import optimize

  solved = optimize.linprog(
    basis.T @ costs,
    A_ub=-basis,
    b_ub=np.zeros(len(basis)),
    A_eq=toward[None],
    b_eq=[1.0],
    bounds=(None, None),
    method='highs-ds',
  )
  if solved.x is None:
    return None
  values = basis @ solved.x
  return values / np.linalg.norm(values)
