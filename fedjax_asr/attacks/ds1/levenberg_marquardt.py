"""Damped Gauss-Newton on a sum of squares (Levenberg 1944, Marquardt 1963).

Written for one problem; `vmap` many starts at the edge.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Dampings that are tried with every Jacobian, in units of the last best one.
_FACTORS = (0.3, 3.0, 30.0)
_MIN_DAMPING, _MAX_DAMPING = 1e-7, 1e7
_FIRST_DAMPING = 1e-2
# A step that gains less than this fraction of the cost ends the iteration.
_MIN_GAIN = 1e-4
# Lengths at which a step of `refine` is tried.
_LENGTHS = (1.0, 0.5, 0.1, 0.01)

Residual = Callable[[jax.Array], jax.Array]


class Fit(NamedTuple):
  """A point, its sum of squares, and the damping that served last."""

  point: Float[Array, ' unknowns']
  cost: Float[Array, '']
  damping: Float[Array, '']
  gain: Float[Array, '']


def start(residual: Residual, point: Float[Array, ' unknowns']) -> Fit:
  """A fit before its first step."""
  return Fit(
    point=point,
    cost=_cost(residual, point),
    damping=jnp.full((), _FIRST_DAMPING, point.dtype),
    gain=jnp.ones((), point.dtype),
  )


def fit(
  residual: Residual,
  state: Fit,
  num_iterations: int,
  tolerance: float = 0.0,
) -> Fit:
  """The fit after at most `num_iterations` steps; never a worse one.

  Ends early where the cost is at most `tolerance`, or where a step gains next
  to nothing. Does not depend on the units of the unknowns.

  Args:
    residual: of a point, a vector.
  """

  def unfinished(carry: tuple[jax.Array, Fit]) -> jax.Array:
    count, now = carry
    return (count < num_iterations) & ~is_over(now, tolerance)

  def advance(carry: tuple[jax.Array, Fit]) -> tuple[jax.Array, Fit]:
    count, now = carry
    return count + 1, step(residual, now)

  return jax.lax.while_loop(unfinished, advance, (jnp.zeros((), int), state))[1]


def is_over(state: Fit, tolerance: float = 0.0) -> Bool[Array, ' *starts']:
  """Whether `fit` would not go on."""
  is_stuck = (state.gain <= _MIN_GAIN) & (state.damping >= _MAX_DAMPING)
  return (state.cost <= tolerance) | is_stuck


def step(residual: Residual, state: Fit) -> Fit:
  """The best of steps of several dampings, or the same point, damped more."""
  values = residual(state.point)
  jacobian = jax.jacfwd(residual)(state.point)
  squares = jacobian.T @ jacobian
  # In units in which every unknown has the same effect.
  effect = jnp.sqrt(jnp.diag(squares))
  scale = 1 / jnp.maximum(effect, 1e-6 * effect.max() + 1e-30)
  squares = squares * scale * scale[:, None]
  gradient = scale * (values @ jacobian)
  dampings = jnp.clip(
    state.damping * jnp.array(_FACTORS, values.dtype),
    _MIN_DAMPING,
    _MAX_DAMPING,
  )

  def tried(damping: jax.Array) -> tuple[jax.Array, jax.Array]:
    damped = squares + damping * jnp.eye(len(squares), dtype=squares.dtype)
    factors = jax.scipy.linalg.cho_factor(damped)
    point = state.point - scale * jax.scipy.linalg.cho_solve(factors, gradient)
    return point, _cost(residual, point)

  points, costs = jax.lax.map(tried, dampings)
  costs = jnp.where(jnp.isfinite(costs), costs, jnp.inf)
  best = jnp.argmin(costs)
  better = costs[best] < state.cost
  return Fit(
    point=jnp.where(better, points[best], state.point),
    cost=jnp.where(better, costs[best], state.cost),
    damping=jnp.where(better, dampings[best], dampings[-1]),
    gain=jnp.where(better, 1 - costs[best] / state.cost, 0.0),
  )


def refine(
  residual: Residual,
  point: Float[Array, ' unknowns'],
  num_iterations: int,
  num_inner: int,
) -> tuple[Float[Array, ' unknowns'], Float[Array, '']]:
  """(point, cost) after Gauss-Newton steps without a matrix; never worse.

  For residuals of too many unknowns for their Jacobian: each step is found by
  `num_inner` iterations of conjugate gradients, which damp it by their number
  (Steihaug 1983). The unknowns should have effects of one size.
  """

  def advance(
    carry: tuple[jax.Array, jax.Array], _: None
  ) -> tuple[tuple[jax.Array, jax.Array], None]:
    point, cost = carry
    values, push = jax.linearize(residual, point)
    pull = jax.linear_transpose(push, point)
    gradient = pull(values)[0]
    direction, _ = jax.scipy.sparse.linalg.cg(
      lambda vector: pull(push(vector))[0], gradient, maxiter=num_inner
    )
    points = point - jnp.array(_LENGTHS, point.dtype)[:, None] * direction
    costs = jax.lax.map(lambda each: _cost(residual, each), points)
    costs = jnp.where(jnp.isfinite(costs), costs, jnp.inf)
    best = jnp.argmin(costs)
    better = costs[best] < cost
    taken = jnp.where(better, points[best], point)
    return (taken, jnp.where(better, costs[best], cost)), None

  first = (point, _cost(residual, point))
  return jax.lax.scan(advance, first, length=num_iterations)[0]


def _cost(
  residual: Residual, point: Float[Array, ' unknowns']
) -> Float[Array, '']:
  return jnp.sum(residual(point) ** 2)
