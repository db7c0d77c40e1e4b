"""Features whose convolutions give the frames that are known.

Two layers of clipped ReLU with more units than unknowns: descent from noise
reaches the frames without a local minimum in the way (compare Hand and
Voroninski 2018 for random dense networks); Levenberg-Marquardt with conjugate
gradients then makes it exact. Frames count by direction, not by length.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.models import model


class Inversion(NamedTuple):
  """features of the best start; residual: mean over frames of |u/|u| - y|^2."""

  features: Float[Array, 'frames features']
  residual: Float[Array, '']


class Problem(NamedTuple):
  """What is inverted; target: unit vectors."""

  params: model.Params
  norm_state: model.NormState
  num_frames: jax.Array
  target: Float[Array, 'outputs units']


def problem(
  observed: observation.Observation,
  target: Float[np.ndarray, 'outputs units'],
  num_frames: int,
) -> Problem:
  """Features of so many frames are wanted, whose front gives the target."""
  return Problem(
    observed.params,
    observed.norm_state,
    jnp.full(1, num_frames, jnp.int32),
    jnp.asarray(target, jnp.float32),
  )


def descended(
  observed: observation.Observation,
  wanted: Problem,
  cfg: config.DemixingConfig,
  key: jax.Array,
) -> Inversion:
  """By Adam, the best of `cfg.num_starts` random starts."""
  frames = int(wanted.num_frames[0])
  shape = (cfg.num_starts, frames, observed.features.num_features)
  starts = 0.5 * jax.random.normal(key, shape)
  # Highest: a GPU would round products to TF32.
  with jax.default_matmul_precision('highest'):
    found, losses = _descended(
      front(observed), cfg.num_iterations, cfg.learning_rate, wanted, starts
    )
  best = jnp.argmin(losses)
  return Inversion(found[best], losses[best])


def polished(
  observed: observation.Observation,
  wanted: Problem,
  cfg: config.DemixingConfig,
  features: Float[Array, 'frames features'],
) -> Inversion:
  """By Levenberg-Marquardt; the residual is no higher than before."""
  with jax.default_matmul_precision('highest'):
    return _polished(
      front(observed),
      cfg.num_polish,
      cfg.num_conjugate_gradients,
      wanted,
      features,
    )


def residual(
  observed: observation.Observation,
  wanted: Problem,
  features: Float[Array, 'frames features'],
) -> float:
  """Mean over frames of |u/|u| - y|^2."""
  with jax.default_matmul_precision('highest'):
    values = _residuals(front(observed), wanted, features)
  return float(jnp.square(values).sum())


def front(observed: observation.Observation):
  """The front and its mode: batch norm's statistics are the batch's own."""
  cfg = observed.model.ds2
  train = cfg.norm is config.Norm.BATCH and not cfg.frozen_norm
  return observed.acoustic.front, train


def _residuals(front, problem, features):
  """Differences of directions; their squares sum to the mean over frames."""
  apply, train = front
  values, _, _ = apply(
    problem.params,
    problem.norm_state,
    features[None],
    problem.num_frames,
    train=train,
  )
  norm = jnp.linalg.norm(values[0], axis=1, keepdims=True)
  unit = values[0] / jnp.maximum(norm, 1e-9)
  return (unit - problem.target) / jnp.sqrt(float(len(problem.target)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _descended(front, count, learning_rate, problem, starts):
  """Adam with a cosine decay, from all starts at once."""
  optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, count))

  def loss(features):
    return jnp.square(_residuals(front, problem, features)).sum()

  def step(carry, _):
    features, state = carry
    updates, state = optimizer.update(jax.grad(loss)(features), state)
    return (features + updates, state), None

  def one(start):
    carry = start, optimizer.init(start)
    (features, _), _ = jax.lax.scan(step, carry, length=count)
    return features, loss(features)

  return jax.vmap(one)(starts)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _polished(front, count, num_conjugate_gradients, problem, features):
  """Levenberg-Marquardt; the residual never rises."""
  residual = functools.partial(_residuals, front, problem)

  def step(carry, _):
    features, damping, loss = carry
    values, forward = jax.linearize(residual, features)
    _, backward = jax.vjp(residual, features)

    def normal(direction):
      return backward(forward(direction))[0] + damping * direction

    move, _ = jax.scipy.sparse.linalg.cg(
      normal, -backward(values)[0], maxiter=num_conjugate_gradients, tol=1e-9
    )
    moved = features + move
    after = jnp.square(residual(moved)).sum()
    better = after < loss
    carry = (
      jnp.where(better, moved, features),
      jnp.where(better, damping * 0.1, damping * 10.0),
      jnp.where(better, after, loss),
    )
    return carry, loss

  loss = jnp.square(residual(features)).sum()
  start = features, jnp.asarray(1e-6, features.dtype), loss
  (features, _, loss), _ = jax.lax.scan(step, start, length=count)
  return Inversion(features, loss)
