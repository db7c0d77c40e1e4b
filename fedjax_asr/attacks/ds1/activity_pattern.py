"""The size and sign of an utterance from where its units are active.

Nothing is sent back to a unit that clipped ReLU closes, so what is sent back
tells which of the units are open at each window, 0 < f a + b < 20, with a what
the kernel makes of a window of the utterance's shape, b the bias, and f the
factor that is looked for. A pair of window and unit is open on an interval of
factors; the right factor lies in nearly all that are open and in none that are
shut. Between the ends of these intervals the number of those that contradict a
factor is constant, so all factors are looked at. Without biases and under the
clip no interval ends: the pattern tells the sign, and the size at most.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from fedjax_asr.attacks.ds1 import span_evidence
from fedjax_asr.models import activation

# Deviations of noise from which something is sent back,
_SIGNIFICANT = 10.0
# of which a window whose units get so many is one where nothing is by chance.
_BUSY = 1000.0
# Of a window's values: never less noise than float64 leaves in them.
_ROUNDING = 1e-9
# Contradictions beyond the fewest, in deviations of their number, up to which
# a factor is as good.
_AS_GOOD = 2.0


class Factor(NamedTuple):
  """By how much an utterance is larger than its shape.

  low, high: magnitudes that fewest pairs contradict; 0 and inf are ends too.
  error: half the logarithm of the ratio of the largest to the least that are
    about as good, or inf.
  """

  sign: float
  low: float
  high: float
  error: float

  @property
  def value(self) -> float:
    """Sign and the middle of the magnitudes."""
    if self.low > 0 and np.isfinite(self.high):
      return self.sign * float(np.sqrt(self.low * self.high))
    if np.isfinite(self.high):
      return self.sign * self.high / 2
    return self.sign * (2 * self.low if self.low > 0 else 1.0)


class Pattern(NamedTuple):
  """Pairs of window and unit of which it is known what they are.

  Neither where it is not; nothing is shut for certain behind dropout.
  """

  is_open: Bool[np.ndarray, 'windows units']
  is_shut: Bool[np.ndarray, 'windows units']


class _Intervals(NamedTuple):
  low: np.ndarray
  high: np.ndarray

  @property
  def is_empty(self) -> Bool[np.ndarray, '*pairs']:
    return self.low >= self.high


class _Costs(NamedTuple):
  """costs[i]: pairs that contradict factors of edges[i] to edges[i + 1]."""

  edges: np.ndarray
  costs: np.ndarray


def of_signals(
  values: Float64[np.ndarray, 'windows units'],
  spread: Float64[np.ndarray, ' windows'],
  unit_sizes: Float64[np.ndarray, ' units'],
  *,
  has_dropout: bool,
) -> Pattern:
  """As `span_evidence.Signals` has them."""
  is_alive = unit_sizes > 0
  level = np.abs(values) / np.where(is_alive, unit_sizes, 1.0)
  sizes = np.sqrt(np.mean(level[:, is_alive] ** 2, axis=1))
  noise = np.maximum(np.sqrt(spread), _ROUNDING * sizes)
  is_sent = level > _SIGNIFICANT * noise[:, None]
  is_busy = (sizes > _BUSY * noise)[:, None] & is_alive
  return Pattern(is_sent & is_alive, ~is_sent & is_busy & (not has_dropout))


def factor(
  pattern: Pattern,
  windows: Float64[np.ndarray, 'windows taps'],
  layer: span_evidence.Layer,
) -> Factor:
  """Of the utterance whose shape has these windows."""
  plus, minus = (
    _of_sign(sign, pattern, windows, layer) for sign in (1.0, -1.0)
  )
  (best, cost), (_, other) = sorted((plus, minus), key=lambda each: each[1])
  if other <= cost + _slack(cost):
    return best._replace(error=np.inf)
  return best


def _slack(cost: float) -> float:
  return _AS_GOOD * (1 + np.sqrt(cost))


def _of_sign(
  sign: float,
  pattern: Pattern,
  windows: Float64[np.ndarray, 'windows taps'],
  layer: span_evidence.Layer,
) -> tuple[Factor, float]:
  """(the best factor of that sign, pairs that contradict it)."""
  start = _open_for(sign * windows @ layer.kernel, layer.bias)
  end = start
  if layer.end is not None:
    end = _open_for(sign * windows @ layer.end[0], layer.end[1])
  found = _contradictions(
    pattern,
    # Open at some step, and at every one.
    _Intervals(
      np.minimum(start.low, end.low), np.maximum(start.high, end.high)
    ),
    _Intervals(
      np.maximum(start.low, end.low), np.minimum(start.high, end.high)
    ),
  )
  low, high, cost = found.edges[:-1], found.edges[1:], found.costs
  low, high, cost = (each[low < high] for each in (low, high, cost))
  least = float(cost.min())
  with np.errstate(divide='ignore'):
    width = np.where(cost == least, np.log(high) - np.log(low), -1.0)
    index = int(np.argmax(width))
    is_good = cost <= least + _slack(least)
    error = (np.log(high[is_good].max()) - np.log(low[is_good].min())) / 2
  best = Factor(sign, float(low[index]), float(high[index]), float(error))
  return best, least


def _open_for(
  inputs: Float64[np.ndarray, 'windows units'],
  bias: Float64[np.ndarray, ' units'],
) -> _Intervals:
  """Positive factors of `inputs` with which units are open."""
  bias = np.broadcast_to(bias, inputs.shape)
  safe = np.where(inputs, inputs, 1.0)
  ends = np.maximum(
    np.stack([-bias / safe, (activation.CLIP - bias) / safe]), 0.0
  )
  is_always = (inputs == 0) & (bias > 0) & (bias < activation.CLIP)
  low = np.where(inputs, ends.min(axis=0), 0.0)
  high = np.where(inputs, ends.max(axis=0), np.where(is_always, np.inf, 0.0))
  # So that the hull of none and another is the other.
  return _Intervals(np.where(low < high, low, np.inf), high)


def _contradictions(
  pattern: Pattern, some: _Intervals, every: _Intervals
) -> _Costs:
  """Of open pairs that would be shut throughout, and the other way round."""
  is_open = pattern.is_open & ~some.is_empty
  is_shut = pattern.is_shut & ~every.is_empty
  counts = [is_open.sum(), is_shut.sum()]
  edges = np.concatenate(
    [
      *(each[is_open] for each in (some.low, some.high)),
      *(each[is_shut] for each in (every.low, every.high)),
    ]
  )
  changes = np.repeat([-1, 1, 1, -1], np.repeat(counts, 2))
  order = np.argsort(edges)
  edges, changes = edges[order], changes[order]
  costs = pattern.is_open.sum() + np.concatenate([[0], np.cumsum(changes)])
  return _Costs(np.concatenate([[0.0], edges, [np.inf]]), costs)
