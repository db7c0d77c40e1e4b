"""An utterance as a chain of windows, each known but for its last frames.

Seed: the first windows hold zeros before the utterance, and share most of
their frames, so several of them have few unknowns and many equations. Grow:
each next window adds `stride` frames to those that are known.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.ds1 import hidden_span, levenberg_marquardt
from fedjax_asr.models import activation

# A fit goes on until its residual is this small, or gains nothing more.
_EXACT = 1e-13
# ... which a step that gains less than this fraction of it tells.
_SMALL_GAIN = 0.5
# Iterations on one window whose other frames are known.
_GROWTH_ITERATIONS = 30
# Equations for each of its unknowns; the others only check the answer.
_GROWTH_EQUATIONS = 16


class Limits(NamedTuple):
  """Of growth: windows, random starts of one, and what closes a window."""

  num_windows: int
  num_starts: int
  max_residual: float


class Tail(NamedTuple):
  """Where growth stands.

  frames: the last known ones, `stride` less than a window.
  is_over: whether a window did not close.
  """

  frames: Float[Array, 'frames features']
  is_over: Bool[Array, '']


def num_seed_frames(shape: context_windows.Shape, num_windows: int) -> int:
  """Frames that the first windows see."""
  return shape.context + 1 + (num_windows - 1) * shape.stride


def seed_starts(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  num_windows: int,
  keys: jax.Array,
) -> levenberg_marquardt.Fit:
  """Random beginnings of an utterance, one for each key."""
  size = num_seed_frames(shape, num_windows) * shape.num_features
  points = jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys)
  residual = functools.partial(seed_residual, span, shape, num_windows)
  begin = functools.partial(levenberg_marquardt.start, residual)
  return jax.vmap(begin)(points)


@functools.partial(jax.jit, static_argnums=(1, 2, 4))
def seed_fits(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  num_windows: int,
  fits: levenberg_marquardt.Fit,
  num_iterations: int,
) -> levenberg_marquardt.Fit:
  """The fits some iterations on; `cost` is the mean over windows."""
  residual = functools.partial(seed_residual, span, shape, num_windows)
  fit = functools.partial(
    levenberg_marquardt.fit,
    residual,
    num_iterations=num_iterations,
    tolerance=_EXACT,
  )
  return jax.vmap(fit)(fits)


def seed_residual(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  num_windows: int,
  point: Float[Array, ' unknowns'],
) -> Float[Array, ' equations']:
  """What lies outside of the span of the first windows, and its mean."""
  frames = hidden_span.to_frames(span, point)
  padded = jnp.pad(frames, ((shape.context, 0), (0, 0)))
  windows = hidden_span.windows(padded, shape, num_windows)
  return hidden_span.outside(span, windows).ravel() / jnp.sqrt(num_windows)


def settled(fits: levenberg_marquardt.Fit) -> np.ndarray:
  """Which seeds have come as close as rounding lets them."""
  is_over = levenberg_marquardt.is_over(fits, _EXACT)
  return np.asarray(is_over | (fits.gain < _SMALL_GAIN))


def tail_of(
  padded: Float[Array, 'frames features'], shape: context_windows.Shape
) -> Tail:
  """Where growth starts that goes on after these frames."""
  keep = shape.width - shape.stride
  return Tail(padded[len(padded) - keep :], jnp.array(False))


@functools.partial(jax.jit, static_argnums=(1, 3, 4, 5))
def polished(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  frames: Float[Array, 'frames features'],
  num_known: int,
  num_iterations: int,
  num_inner: int,
) -> Float[Array, 'frames features']:
  """The frames after the first `num_known`, fit to all their windows at once.

  Growth rests each frame on one window and the errors of those before it, so
  errors grow; here every window that sees a frame has its say.
  """
  num_windows = (len(frames) - shape.width) // shape.stride + 1

  def residual(point: jax.Array) -> jax.Array:
    rest = hidden_span.to_frames(span, point)
    together = jnp.concatenate([frames[:num_known], rest])
    windows = hidden_span.windows(together, shape, num_windows)
    return hidden_span.outside(span, windows).ravel()

  point, _ = levenberg_marquardt.refine(
    residual,
    hidden_span.to_unknowns(span, frames[num_known:]),
    num_iterations,
    num_inner,
  )
  rest = hidden_span.to_frames(span, point)
  return jnp.concatenate([frames[:num_known], rest])


@functools.partial(jax.jit, static_argnums=(1, 3))
def grown(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  tail: Tail,
  limits: Limits,
  key: jax.Array,
) -> tuple[
  Tail, Float[Array, 'windows stride features'], Float[Array, 'windows']
]:
  """The next frames and each window's residual, 1 from the end on.

  A window first starts from its last known frame again; where that does not
  close, from silence and `limits.num_starts` random frames.
  """

  def step(
    tail: Tail, key: jax.Array
  ) -> tuple[Tail, tuple[jax.Array, jax.Array]]:
    frames, residual = jax.lax.cond(
      tail.is_over,
      lambda *_: (
        jnp.zeros((shape.stride, shape.num_features)),
        jnp.array(1.0),
      ),
      functools.partial(_next, span, shape, limits),
      tail.frames,
      key,
    )
    known = jnp.concatenate([tail.frames, frames])[shape.stride :]
    is_over = residual > limits.max_residual
    return Tail(known, is_over), (frames, jnp.where(is_over, 1.0, residual))

  tail, (frames, residuals) = jax.lax.scan(
    step, tail, jax.random.split(key, limits.num_windows)
  )
  return tail, frames, residuals


def _next(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  limits: Limits,
  known: Float[Array, 'frames features'],
  key: jax.Array,
) -> tuple[Float[Array, 'stride features'], Float[Array, '']]:
  """Frames that follow the known ones, and their residual."""
  num_new = shape.stride * shape.num_features
  before = known.ravel() @ span.kernel[:-num_new] + span.bias
  few = hidden_span.fewer(span, _GROWTH_EQUATIONS * num_new)

  def values(point: jax.Array) -> jax.Array:
    new = hidden_span.to_frames(span, point).ravel()
    return activation.clipped_relu(before + new @ span.kernel[-num_new:])

  def residual(point: jax.Array) -> jax.Array:
    return hidden_span.outside_of(few, values(point))

  def solved(frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    begin = levenberg_marquardt.start(
      residual, hidden_span.to_unknowns(span, frames)
    )
    fit = levenberg_marquardt.fit(residual, begin, _GROWTH_ITERATIONS, _EXACT)
    left = hidden_span.outside_of(span, values(fit.point))
    return hidden_span.to_frames(span, fit.point), jnp.sum(left**2)

  def retried(_: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    shape_of_frames = (limits.num_starts, *last.shape)
    drawn = jax.random.normal(key, shape_of_frames) * span.std + last
    starts = jnp.concatenate([jnp.zeros_like(last)[None], drawn])
    frames, costs = jax.vmap(solved)(starts)
    best = jnp.argmin(costs)
    return frames[best], costs[best]

  last = jnp.repeat(known[-1:], shape.stride, axis=0)
  first = solved(last)
  return jax.lax.cond(
    first[1] > limits.max_residual, retried, lambda given: given, first
  )
