"""What noise and private sampling are drawn from, and nobody may know."""

import secrets
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

_BITS = 32


class Secret(NamedTuple):
  """The 64 bits of a Threefry key.

  Enough for experiments and no cipher: JAX's generator was made for speed.
  """

  high: int
  low: int

  @property
  def key(self) -> PRNGKeyArray:
    """The root of all noise of a run."""
    return jax.random.wrap_key_data(jnp.array(self, jnp.uint32))


def of_seed(seed: int) -> Secret:
  """The one that `jax.random.key(seed)` has: reproducible, and no secret."""
  return Secret(0, seed)


def drawn() -> Secret:
  """Of the operating system."""
  return Secret(secrets.randbits(_BITS), secrets.randbits(_BITS))
