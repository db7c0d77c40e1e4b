"""A chain of windows from its seed on, and the size that it turns out to have.

Without biases in layer 1, windows of any size close until the first that the
clip changes. There all of the chain has to be resized, so that it closes too.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation
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


class Search(NamedTuple):
  """What chains are looked for in, and how.

  span: in single precision, as `hidden_span.cast` gives it.
  tell: is told how far it is.
  """

  span: hidden_span.HiddenSpan
  shape: context_windows.Shape
  cfg: config.SeedAndGrowConfig
  tell: observation.Report


def grown(
  search: Search,
  seed: Float[Array, 'frames features'],
  num_windows: int,
  missing: int,
  key: jax.Array,
) -> closed_chain.Chain:
  """The seed, grown until a window does not close or none is missing.

  Args:
    num_windows: of the seed.
    missing: windows that the chain can have at most.
  """
  shape = search.shape
  padded = np.pad(seed, ((shape.context, 0), (0, 0)))
  is_over = False
  while num_windows < missing and not is_over:
    key, now = jax.random.split(key)
    more = _next_frames(search, padded, now)
    is_over = len(more) < _WINDOWS_AT_ONCE
    more = more[: missing - num_windows]
    num_windows += len(more)
    padded = np.concatenate([padded, *more])
    if is_over and num_windows < missing:
      resized = _resized(search, padded, num_windows)
      if resized is not None:
        is_over, padded, num_windows = False, resized, num_windows + 1
        search.tell(f'resized at window {num_windows}')
    padded = _polished(search, padded)
    search.tell(f'{num_windows} of {missing} windows')
    # What ended in errors of its own goes on once they are polished away.
    if is_over and len(more) and not _is_whole(search, padded, num_windows):
      is_over = False
  return _ended(search, padded, num_windows)


def _ended(
  search: Search, padded: Float[np.ndarray, '_ features'], num_windows: int
) -> closed_chain.Chain:
  return closed_chain.without_padding(
    np.asarray(padded[search.shape.context :], np.float64),
    num_windows,
    search.shape,
    np.asarray(search.span.std, np.float64),
  )


def _is_whole(
  search: Search, padded: Float[np.ndarray, '_ features'], num_windows: int
) -> bool:
  return _ended(search, padded, num_windows).is_whole


def _next_frames(
  search: Search, padded: Float[np.ndarray, '_ features'], key: jax.Array
) -> Float[np.ndarray, 'windows stride features']:
  """Those of the next windows that close."""
  cfg = search.cfg
  _, frames, residuals = window_chain.grown(
    search.span,
    search.shape,
    window_chain.tail_of(jnp.asarray(padded), search.shape),
    window_chain.Limits(
      num_windows=_WINDOWS_AT_ONCE,
      num_starts=cfg.num_growth_starts,
      max_residual=cfg.max_residual,
    ),
    key,
  )
  closed = int((np.asarray(residuals) <= cfg.max_residual).sum())
  return np.asarray(frames[:closed])


def _polished(
  search: Search, padded: Float[np.ndarray, 'frames features']
) -> Float[np.ndarray, 'frames features']:
  """The last frames fit to all windows that see them."""
  shape, cfg = search.shape, search.cfg
  num_windows = (len(padded) - shape.width) // shape.stride + 1
  first = max(num_windows - _WINDOWS_POLISHED, 0)
  start = first * shape.stride
  block = window_chain.polished(
    search.span,
    shape,
    jnp.asarray(padded[start:]),
    shape.width - shape.stride if first else shape.context,
    cfg.num_polish,
    cfg.num_polish_inner,
  )
  return np.concatenate([padded[:start], np.asarray(block)])


def _resized(
  search: Search,
  padded: Float[np.ndarray, '_ features'],
  num_windows: int,
) -> Float[np.ndarray, '_ features'] | None:
  """The chain in the size in which a next window closes; None if in none.

  Only where biases, the clip or the end do not settle the size already.
  """
  span, shape, _, _ = search
  if np.any(span.bias) or _is_whole(search, padded, num_windows):
    return None
  windows = hidden_span.windows(jnp.asarray(padded), shape, num_windows)
  room = activation.CLIP / float((windows @ span.kernel).max())
  if room * _KNOWN_SIZE < 1:
    return None
  taken = shape.width + (_WINDOWS_RESIZED - 2) * shape.stride
  factor, frames, residual = _fit_of_size(
    span, shape, jnp.asarray(padded[-taken:]), room
  )
  if residual > search.cfg.max_residual:
    return None
  kept = shape.stride * (_WINDOWS_RESIZED - 1)
  return np.concatenate([padded[:-kept] * float(factor), np.asarray(frames)])


@functools.partial(jax.jit, static_argnums=(1,))
def _fit_of_size(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  tail: Float[Array, '_ features'],
  room: Float[Array, ''],
) -> tuple[
  Float[Array, ''], Float[Array, 'stretch features'], Float[Array, '']
]:
  """(factor, frames, residual): the tail's size, its last frames and the next.

  `_WINDOWS_RESIZED` windows are fit, of which the last one is new.
  """
  known = tail[: shape.width - shape.stride]
  new = shape.stride * shape.num_features
  few = hidden_span.fewer(span, _EQUATIONS * new)

  def parts(point: jax.Array) -> tuple[jax.Array, jax.Array]:
    within = jax.nn.sigmoid(point[0])
    factor = room * (_SMALLEST + (_LARGEST - _SMALLEST) * within)
    return factor, factor * hidden_span.to_frames(span, point[1:])

  def windows(point: jax.Array) -> jax.Array:
    factor, frames = parts(point)
    together = jnp.concatenate([factor * known, frames])
    return hidden_span.windows(together, shape, _WINDOWS_RESIZED)

  def residual(point: jax.Array) -> jax.Array:
    return hidden_span.outside(few, windows(point)).ravel()

  def fitted(size: jax.Array) -> jax.Array:
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
  factor, frames = parts(points[best])
  return factor, frames, costs[best]


def _fit(
  residual: levenberg_marquardt.Residual, point: Float[Array, ' unknowns']
) -> Float[Array, ' unknowns']:
  state = levenberg_marquardt.start(residual, point)
  return levenberg_marquardt.fit(residual, state, _NUM_ITERATIONS, 1e-13).point
