"""Secrets shared so that some of the shares tell all and fewer tell nothing.

Shamir 1979: a random polynomial of degree `threshold` - 1 over a prime field,
whose value at 0 is the secret. In Python's integers, on the host.
"""

from collections.abc import Mapping

import numpy as np

# A Mersenne prime.
PRIME = 2**127 - 1
_NUM_BYTES = 16


def element(rng: np.random.Generator) -> int:
  """A number of the field; each is as likely as another."""
  while True:
    # Of 127 bits one is no number of the field.
    found = int.from_bytes(rng.bytes(_NUM_BYTES)) >> 1
    if found < PRIME:
      return found


def shares(
  secret: int, num_shares: int, threshold: int, rng: np.random.Generator
) -> list[int]:
  """Share `i` is the polynomial's value at `i + 1`.

  Any `threshold` of them give the secret; fewer are consistent with each secret
  equally.
  """
  if not 1 <= threshold <= num_shares:
    raise ValueError(f'threshold={threshold}; want 1 to {num_shares} shares.')
  if not 0 <= secret < PRIME:
    raise ValueError('want a secret of the field.')
  coefficients = [secret, *(element(rng) for _ in range(threshold - 1))]
  return [_value(coefficients, place + 1) for place in range(num_shares)]


def _value(coefficients: list[int], at: int) -> int:
  found = 0
  for coefficient in reversed(coefficients):
    found = (found * at + coefficient) % PRIME
  return found


def secret(found: Mapping[int, int]) -> int:
  """Of shares by their number, as many as the threshold or more."""
  total = 0
  for place, share in found.items():
    above, below = 1, 1
    for other in found:
      if other != place:
        above = above * (other + 1) % PRIME
        below = below * (other - place) % PRIME
    total += share * above * pow(below, -1, PRIME)
  return total % PRIME
