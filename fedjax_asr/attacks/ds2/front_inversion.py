"""Features whose convolutions give the frames that are known.

DeepSpeech 2 has two layers of clipped ReLU with more units than unknowns:
descent from noise reaches the frames without a local minimum in the way
(compare Hand and Voroninski 2018 for random dense networks);
Levenberg-Marquardt with conjugate gradients then makes it exact. Frames count
by direction, not by length.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation, together
from fedjax_asr.models import model

# Descent ends here: from there on Levenberg-Marquardt is faster,
_NEAR = 1e-4
# and ends at float32's precision, or after so many steps without a gain.
_EXACT = 1e-13
_MAX_FAILED = 4


# What convolutions give, and whether batch norm is in training mode.
Front = tuple[Callable[..., Any], bool]


class Inversion(NamedTuple):
  """features of the best start; residual: mean over frames of |u/|u| - y|^2."""

  features: Float[Array, 'frames features']
  residual: Float[Array, '']


class Problem(NamedTuple):
  """What is inverted; target: unit vectors."""

  num_frames: jax.Array
  target: Float[Array, 'outputs units']


# What a victim has of its own: the norms' state, the problem, and features.
_Own = tuple[model.NormState, Problem, jax.Array]


def problem(
  target: Float[np.ndarray, 'outputs units'],
  num_frames: int,
) -> Problem:
  """Features of so many frames are wanted, whose front gives the target.

  Features that are looked for have as many frames as could lead to the target;
  those beyond `num_frames` are zeros.
  """
  return Problem(
    jnp.full(1, num_frames, jnp.int32), jnp.asarray(target, jnp.float32)
  )


def descended(
  observed: observation.Observation,
  wanted: Problem,
  cfg: config.DemixingConfig,
  key: jax.Array,
) -> Inversion:
  """By Adam, the best of `cfg.num_starts` random starts."""
  hop = time_stride(observed)
  frames = hop * len(wanted.target)
  shape = (cfg.num_starts, frames, observed.features.num_features)
  is_inside = jnp.arange(frames) < wanted.num_frames
  starts = 0.5 * jax.random.normal(key, shape) * is_inside[:, None]
  settings = front(observed), cfg.num_iterations, cfg.learning_rate
  found, losses = _together(_descended, settings, observed, wanted, starts)
  best = jnp.argmin(losses)
  return Inversion(found[best], losses[best])


def polished(
  observed: observation.Observation,
  wanted: Problem,
  cfg: config.DemixingConfig,
  features: Float[Array, 'frames features'],
) -> Inversion:
  """By Levenberg-Marquardt; the residual is no higher than before."""
  settings = front(observed), cfg.num_polish, cfg.num_conjugate_gradients
  return _together(_polished, settings, observed, wanted, features)


def residual(
  observed: observation.Observation,
  wanted: Problem,
  features: Float[Array, 'frames features'],
) -> float:
  """Mean over frames of |u/|u| - y|^2."""
  settings = (front(observed),)
  return float(_together(_energy, settings, observed, wanted, features))


def _together(
  function: together.Function,
  settings: tuple[Hashable, ...],
  observed: observation.Observation,
  wanted: Problem,
  features: Float[Array, '*starts frames features'],
) -> Any:
  """function(*settings, params, own), with those of other victims."""
  own = jax.tree.map(jnp.asarray, (observed.norm_state, wanted, features))
  # Highest: a GPU would round products to TF32.
  with jax.default_matmul_precision('highest'):
    return together.call(function, settings, observed.params, own)


def time_stride(observed: observation.Observation) -> int:
  """Input frames for each frame that the convolutions give."""
  return int(np.prod(observed.model.ds2.conv_time_strides))


def receptive_field(
  observed: observation.Observation,
) -> context_windows.Shape:
  """What an output frame sees, as windows that are no narrower."""
  cfg = observed.model.ds2
  reach, hop = 0, 1
  for width, stride in zip(
    cfg.conv_time_kernels, cfg.conv_time_strides, strict=True
  ):
    reach += hop * (width - 1)
    hop *= stride
  return context_windows.Shape(
    -(-reach // 2), hop, observed.features.num_features
  )


def front(observed: observation.Observation) -> Front:
  """The front and its mode: batch norm's statistics are the batch's own.

  Raises:
    Refused: the model has no convolutions.
  """
  if observed.acoustic.front is None:
    raise observation.Refused('the model has no convolutions to invert.')
  cfg = observed.model.ds2
  train = cfg.norm is config.Norm.BATCH and not cfg.frozen_norm
  return observed.acoustic.front, train


def _residuals(
  front: Front,
  params: model.Params,
  norm_state: model.NormState,
  wanted: Problem,
  features: Float[Array, 'frames features'],
) -> Float[Array, 'outputs units']:
  """Differences of directions; their squares sum to the mean over frames."""
  apply, train = front
  values, _, _ = apply(
    params, norm_state, features[None], wanted.num_frames, train=train
  )
  norm = jnp.linalg.norm(values[0], axis=1, keepdims=True)
  unit = values[0] / jnp.maximum(norm, 1e-9)
  return (unit - wanted.target) / jnp.sqrt(float(len(wanted.target)))


def _energy(front: Front, params: model.Params, own: _Own) -> Float[Array, '']:
  return jnp.square(_residuals(front, params, *own)).sum()


# Features, the optimizer's state, losses, and the iteration.
_Descent = tuple[jax.Array, Any, jax.Array, jax.Array]


def _descended(
  front: Front,
  count: int,
  learning_rate: float,
  params: model.Params,
  own: _Own,
) -> tuple[Float[Array, 'starts frames features'], Float[Array, ' starts']]:
  """Adam with a cosine decay from all starts, until one of them is near."""
  norm_state, wanted, starts = own
  optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, count))

  def loss(features: jax.Array) -> jax.Array:
    return _energy(front, params, (norm_state, wanted, features))

  def is_far(carry: _Descent) -> jax.Array:
    _, _, losses, index = carry
    return (index < count) & (losses.min() > _NEAR)

  def step(carry: _Descent) -> _Descent:
    features, state, _, index = carry
    losses, gradients = jax.vmap(jax.value_and_grad(loss))(features)
    updates, state = optimizer.update(gradients, state)
    moved = features + jnp.asarray(updates)
    return moved, state, losses, index + 1

  losses = jnp.full(len(starts), jnp.inf)
  start = starts, optimizer.init(starts), losses, jnp.zeros((), int)
  features, *_ = jax.lax.while_loop(is_far, step, start)
  return features, jax.vmap(loss)(features)


class _Polish(NamedTuple):
  """Features, their loss, and steps since it last fell much."""

  features: Float[Array, 'frames features']
  damping: Float[Array, '']
  loss: Float[Array, '']
  num_failed: jax.Array
  iteration: jax.Array


def _polished(
  front: Front,
  count: int,
  num_conjugate_gradients: int,
  params: model.Params,
  own: _Own,
) -> Inversion:
  """Levenberg-Marquardt; the residual never rises."""
  norm_state, wanted, features = own
  residual = functools.partial(_residuals, front, params, norm_state, wanted)

  def is_open(carry: _Polish) -> jax.Array:
    is_left = (carry.iteration < count) & (carry.num_failed < _MAX_FAILED)
    return is_left & (carry.loss > _EXACT)

  def step(carry: _Polish) -> _Polish:
    # The transpose of the transpose, as products have no forward mode.
    values, backward = jax.vjp(residual, carry.features)
    forward = jax.linear_transpose(backward, values)

    def normal(direction: jax.Array) -> jax.Array:
      (change,) = forward((direction,))
      return backward(change)[0] + carry.damping * direction

    move, _ = jax.scipy.sparse.linalg.cg(
      normal, -backward(values)[0], maxiter=num_conjugate_gradients, tol=1e-5
    )
    moved = carry.features + move
    after = jnp.square(residual(moved)).sum()
    better = after < carry.loss
    return _Polish(
      features=jnp.where(better, moved, carry.features),
      damping=carry.damping * jnp.where(better, 0.1, 10.0),
      loss=jnp.where(better, after, carry.loss),
      num_failed=jnp.where(after < 0.9 * carry.loss, 0, carry.num_failed + 1),
      iteration=carry.iteration + 1,
    )

  loss = jnp.square(residual(features)).sum()
  start = _Polish(
    features=features,
    damping=jnp.asarray(1e-6, features.dtype),
    loss=loss,
    num_failed=jnp.asarray(0),
    iteration=jnp.asarray(0),
  )
  polished = jax.lax.while_loop(is_open, step, start)
  return Inversion(polished.features, polished.loss)
