"""Integer noise whose sums are of the same kind: Skellam's distribution.

Agarwal, Kairouz and Liu 2021 (arXiv 2110.04995): the difference of two Poisson
variables of one rate. Drawn here by a table of the distribution in place of
`jax.random.poisson`, which compares logarithms of millions in float32 at the
rates that a fine unit needs. The table is exact to 2^-64.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

# Entries of the largest table, of 8 bytes each.
MOST_ENTRIES = 2**19
# From here on Bessel functions are their expansion, to the last bit.
_LARGE = 2.0**20


class Table(NamedTuple):
  """Probabilities that the magnitude is above 0, 1, 2 ... as 64 bits."""

  high: UInt32[np.ndarray, ' entries']
  low: UInt32[np.ndarray, ' entries']


def reach(variance: float) -> int:
  """A magnitude that no draw exceeds; the distribution does by < 2^-64."""
  return math.ceil(9.4 * math.sqrt(variance)) + 40


def probability(
  magnitude: Int[np.ndarray, ' values'], variance: float
) -> Float[np.ndarray, ' values']:
  """Of the value, or of minus the value."""
  # Not on top: half a second that runs without this noise need not wait.
  from scipy import special

  if variance < _LARGE:
    return special.ive(magnitude, variance)
  # DLMF 10.41.3, in terms that are finite for order 0.
  root = np.hypot(magnitude, variance)
  slope = (magnitude / root) ** 2
  exponent = magnitude.astype(float) ** 2 / (root + variance)
  exponent -= magnitude * np.arcsinh(magnitude / variance)
  series = 1 + (3 - 5 * slope) / (24 * root)
  series += (81 - 462 * slope + 385 * slope**2) / (1152 * root**2)
  return np.exp(exponent) / np.sqrt(2 * np.pi * root) * series


@functools.cache
def table(variance: float) -> Table:
  """Of one client's noise."""
  values = np.arange(reach(variance) + 1)
  # From the tail, whose sums are then as precise as its terms.
  tail = 2 * np.cumsum(probability(values, variance)[:0:-1])[::-1]
  scaled = np.minimum(tail, 1 - 2.0**-53) * 2.0**32
  high = np.floor(scaled)
  low = np.floor((scaled - high) * 2.0**32)
  return Table(high.astype(np.uint32), low.astype(np.uint32))


def draws(found: Table, size: int, key: jax.Array) -> Int[Array, ' size']:
  """Independent ones."""
  high, low, sign = jax.random.bits(key, (3, size), jnp.uint32)
  entries = len(found.high)
  table_high, table_low = jnp.asarray(found.high), jnp.asarray(found.low)

  def further(place: Int[Array, ' size'], step: int) -> Int[Array, ' size']:
    """Whether the draw is below the entry that so many steps lead to."""
    at = place + step - 1
    inside = jnp.minimum(at, entries - 1)
    is_below = (high < table_high[inside]) | (
      (high == table_high[inside]) & (low < table_low[inside])
    )
    return place + jnp.where(is_below & (at < entries), step, 0)

  place = jnp.zeros(size, jnp.int32)
  for power in reversed(range(entries.bit_length())):
    place = further(place, 2**power)
  return jnp.where(sign & 1 == 1, -place, place)
