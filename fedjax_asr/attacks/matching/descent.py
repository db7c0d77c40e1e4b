"""Ways down an objective, one step at a time, for one start."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config

Objective = Callable[[jax.Array], jax.Array]


class Descent(NamedTuple):
  """A minimiser as pure functions.

  start(objective, point) -> state
  step(objective, point, state, key) -> (moved point, state, the objective at
    `point`, before the move)
  """

  start: Callable[[Objective, jax.Array], Any]
  step: Callable[
    [Objective, jax.Array, Any, jax.Array], tuple[jax.Array, Any, jax.Array]
  ]


def descent(cfg: config.MatchingConfig) -> Descent:
  """The configured minimiser.

  adam, sgd      optax's
  signed_adam    Adam on the gradient's signs (Geiping et al. 2020)
  lbfgs          optax's, with its zoom line search
  random_search  a random direction of length `learning_rate` and its
                 opposite; goes to the better of them if it is lower
  """
  rate = _schedule(cfg)
  match cfg.optimizer:
    case config.MatchingOptimizer.ADAM:
      return _by_gradient(optax.adam(rate))
    case config.MatchingOptimizer.SGD:
      return _by_gradient(optax.sgd(rate))
    case config.MatchingOptimizer.SIGNED_ADAM:
      return _by_gradient(optax.chain(optax.scale_by_sign(), optax.adam(rate)))
    case config.MatchingOptimizer.LBFGS:
      return _by_gradient(optax.lbfgs())
    case config.MatchingOptimizer.RANDOM_SEARCH:
      return _random_search(rate)


def _schedule(cfg: config.MatchingConfig) -> optax.Schedule:
  """The rate of each iteration."""
  if not cfg.halve_every:
    return optax.constant_schedule(cfg.learning_rate)
  return optax.exponential_decay(
    cfg.learning_rate, cfg.halve_every, 0.5, staircase=True
  )


def _by_gradient(optimizer: optax.GradientTransformation) -> Descent:
  extended = optax.with_extra_args_support(optimizer)

  def start(objective: Objective, point: jax.Array) -> Any:
    del objective
    return extended.init(point)

  def step(
    objective: Objective, point: jax.Array, state: Any, key: jax.Array
  ) -> tuple[jax.Array, Any, jax.Array]:
    del key
    value, gradient = jax.value_and_grad(objective)(point)
    # What only a line search reads.
    search = {'value': value, 'grad': gradient, 'value_fn': objective}
    updates, state = extended.update(gradient, state, point, **search)
    return point + jnp.asarray(updates), state, value

  return Descent(start, step)


# The objective there, and steps so far.
_Reached = tuple[jax.Array, jax.Array]


def _random_search(rate: optax.Schedule) -> Descent:
  def start(objective: Objective, point: jax.Array) -> _Reached:
    return objective(point), jnp.zeros((), jnp.int32)

  return Descent(start, functools.partial(_searched, rate))


def _searched(
  rate: optax.Schedule,
  objective: Objective,
  point: jax.Array,
  state: _Reached,
  key: jax.Array,
) -> tuple[jax.Array, _Reached, jax.Array]:
  value, count = state
  direction = jax.random.normal(key, point.shape, point.dtype)
  direction = direction * (rate(count) / jnp.linalg.norm(direction))
  points = jnp.stack([point, point + direction, point - direction])
  # One after another, as restarts already share the machine.
  tried = [objective(candidate) for candidate in points[1:]]
  values = jnp.stack([value, *tried])
  chosen = jnp.nanargmin(values)
  return points[chosen], (values[chosen], count + 1), value
