"""Seeds that two clients agree on by what all may read: Diffie-Hellman.

A simulation: the group is the numbers modulo a prime of 127 bits, in which
logarithms can be computed, and keys come from the run's seed. It is no security
against anybody who listens; a deployment has X25519 in its place.
"""

import hashlib

import numpy as np

from fedjax_asr.federated import shamir

# Of the field of the shares, so that a key is a secret of it.
_PRIME = shamir.PRIME
# Generates the whole group (tests/federated/test_secure_protocol.py).
GENERATOR = 43


def private_key(rng: np.random.Generator) -> int:
  """A number that its client alone knows."""
  return shamir.element(rng)


def public_key(private: int) -> int:
  """What it tells the others."""
  return pow(GENERATOR, private, _PRIME)


def agreed_seed(private: int, public: int) -> tuple[int, int]:
  """Two words that either of a pair has, by its own key and the other's."""
  shared = pow(public, private, _PRIME)
  digest = hashlib.blake2b(shared.to_bytes(16), digest_size=8).digest()
  return words(int.from_bytes(digest))


def words(seed: int) -> tuple[int, int]:
  """A seed of 64 bits as a generator takes it."""
  return seed >> 32, seed & 0xFFFFFFFF
