"""A chain of windows from its seed on, and the size that it turns out to have.

Without biases in layer 1, windows of any size close until the first that the
clip changes. There all of the chain has to be resized, so that it closes too.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.ds1 import (
  closed_chain,
  hidden_span,
  levenberg_marquardt,
  window_chain,
)
from fedjax_asr.models import activation

# Windows between looks at a chain, and how many are polished together then.
_WINDOWS_AT_ONCE = 32
_WINDOWS_POLISHED = 80
# Sizes that are tried, as fractions of the largest that the clip leaves alone,
# and those between which they stay. Without bounds they escape to zero: far
# from the clip nothing depends on them.
_SIZES = tuple(0.999 * 0.96**step for step in range(32))
_SMALLEST, _LARGEST = 0.1, 1.01
# Largest input of a unit, in clips, from which the size is known.
_KNOWN_SIZE = 1.01
# Windows that share their say on the size; iterations; equations for each
# unknown frame.
_WINDOWS_RESIZED = 2
_NUM_ITERATIONS = 40
_EQUATIONS = 16


def grown(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  seed: Float[Array, 'frames features'],
  num_windows: int,
  missing: int,
  cfg: config.SeedAndGrowConfig,
  key: jax.Array,
  tell: Callable[[str], None],
) -> closed_chain.Chain:
  """The seed, grown until a window does not close or none is missing.

  Args:
    num_windows: of the seed.
    missing: windows that the chain can have at most.
  """
  padded = np.pad(seed, ((shape.context, 0), (0, 0)))
  is_over = False
  while num_windows < missing and not is_over:
    key, now, then = jax.random.split(key, 3)
    more = _next_frames(span, shape, padded, cfg, now)
    is_over = len(more) < _WINDOWS_AT_ONCE
    more = more[: missing - num_windows]
    num_windows += len(more)
    padded = np.concatenate([padded, *more])
    if is_over and num_windows < missing:
      resized = _resized(span, shape, padded, num_windows, cfg, then)
      if resized is not None:
        is_over, padded, num_windows = False, resized, num_windows + 1
        tell(f'resized at window {num_windows}')
    padded = _polished(span, shape, padded, cfg)
    tell(f'{num_windows} of {missing} windows')
    # What ended in errors of its own goes on once they are polished away.
    if (
      is_over and len(more) and not _is_whole(span, shape, padded, num_windows)
    ):
      is_over = False
  return _ended(span, shape, padded, num_windows)


def _ended(span, shape, padded, num_windows):
  return closed_chain.without_padding(
    np.asarray(padded[shape.context :], np.float64),
    num_windows,
    shape,
    np.asarray(span.std, np.float64),
  )


def _is_whole(span, shape, padded, num_windows):
  return _ended(span, shape, padded, num_windows).is_whole


def _next_frames(span, shape, padded, cfg, key):
  """[windows, stride, features] of the next windows that close."""
  _, frames, residuals = window_chain.grown(
    span,
    shape,
    window_chain.tail_of(jnp.asarray(padded), shape),
    _WINDOWS_AT_ONCE,
    cfg.num_growth_starts,
    cfg.max_residual,
    key,
  )
  closed = int((np.asarray(residuals) <= cfg.max_residual).sum())
  return np.asarray(frames[:closed])


def _polished(span, shape, padded, cfg):
  """The last frames fit to all windows that see them."""
  num_windows = (len(padded) - shape.width) // shape.stride + 1
  first = max(num_windows - _WINDOWS_POLISHED, 0)
  start = first * shape.stride
  block = window_chain.polished(
    span,
    shape,
    jnp.asarray(padded[start:]),
    shape.width - shape.stride if first else shape.context,
    cfg.num_polish,
    cfg.num_polish_inner,
  )
  return np.concatenate([padded[:start], np.asarray(block)])


def _resized(span, shape, padded, num_windows, cfg, key):
  """The chain in the size in which a next window closes; None if in none.

  Only where biases, the clip or the end do not settle the size already.
  """
  if np.any(span.bias) or _is_whole(span, shape, padded, num_windows):
    return None
  windows = hidden_span.windows(jnp.asarray(padded), shape, num_windows)
  room = activation.CLIP / float((windows @ span.kernel).max())
  if room * _KNOWN_SIZE < 1:
    return None
  taken = shape.width + (_WINDOWS_RESIZED - 2) * shape.stride
  factor, frames, residual = _fit_of_size(
    span, shape, jnp.asarray(padded[-taken:]), room, key
  )
  if residual > cfg.max_residual:
    return None
  kept = shape.stride * (_WINDOWS_RESIZED - 1)
  return np.concatenate([padded[:-kept] * float(factor), np.asarray(frames)])


@functools.partial(jax.jit, static_argnums=(1,))
def _fit_of_size(span, shape, tail, room, key):
  """(factor, frames, residual): the tail's size, its last frames and the next.

  `_WINDOWS_RESIZED` windows are fit, of which the last one is new.
  """
  known = tail[: shape.width - shape.stride]
  new = shape.stride * shape.num_features
  few = hidden_span.fewer(span, _EQUATIONS * new)

  def parts(point):
    within = jax.nn.sigmoid(point[0])
    factor = room * (_SMALLEST + (_LARGEST - _SMALLEST) * within)
    return factor, factor * hidden_span.to_frames(span, point[1:])

  def windows(point):
    factor, frames = parts(point)
    together = jnp.concatenate([factor * known, frames])
    return hidden_span.windows(together, shape, _WINDOWS_RESIZED)

  def residual(point):
    return hidden_span.outside(few, windows(point)).ravel()

  def fitted(size):
    within = (size - _SMALLEST) / (_LARGEST - _SMALLEST)
    sized = jax.scipy.special.logit(within)
    # Frames that do not fit yet would send the size anywhere.
    frames = _fit(lambda frames: residual(jnp.append(sized, frames)), first)
    return _fit(residual, jnp.append(sized, frames))

  last = jnp.repeat(tail[-1:], shape.stride, axis=0)
  first = hidden_span.to_unknowns(
    span, jnp.concatenate([tail[len(known) :], last])
  )
  points = jax.lax.map(fitted, jnp.asarray(_SIZES))
  costs = jax.vmap(lambda each: hidden_span.fractions(span, windows(each)))(
    points
  ).max(axis=1)
  best = jnp.argmin(costs)
  return *parts(points[best]), costs[best]


def _fit(residual, point):
  state = levenberg_marquardt.start(residual, point)
  return levenberg_marquardt.fit(residual, state, _NUM_ITERATIONS, 1e-13).point
