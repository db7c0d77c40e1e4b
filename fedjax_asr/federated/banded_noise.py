"""Noise that one round takes back in part from those before (BandMF).

Choquette-Choo et al. 2023 (arXiv 2306.08153): the noise of round t is row t of
C^-1 Z, of independent rows Z and a banded Toeplitz matrix C whose columns have
norm 1. A client that takes part at least as many rounds apart as C has bands is
as private as with independent noise of that deviation, and the sums over rounds
are less noisy. The factorisation and its inverse are jax-privacy's; Z is
`noise.standard`, a function of the round, as its privatizer's is not.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr.federated import channel, noise


class State(NamedTuple):
  """What a checkpoint has of it. coefficients: of C's first column."""

  coefficients: Float[Array, ' bands']
  inverse: Any


def of_server(
  stddev: float, num_bands: int, num_rounds: int
) -> channel.Channel:
  """The server's noise on every number of the weighted sum, round by round.

  `num_rounds`: for which the matrix is the best; any number are private.
  """

  def init_server(params):
    coefficients = jnp.asarray(factor(num_bands, num_rounds))
    return State(coefficients, _inverse(coefficients).init_multiply(params))

  def server(sums, state, key):
    rows = noise.standard(sums.update.params, key)
    # A GPU would round what is taken back to TF32.
    with jax.default_matmul_precision('highest'):
      row, inverse = _inverse(state.coefficients).multiply_next(
        rows, state.inverse
      )
    params = jax.tree.map(
      lambda leaf, draw: leaf + stddev * draw, sums.update.params, row
    )
    return noise.with_sum(sums, params), state._replace(inverse=inverse)

  return channel.Channel(channel.untouched, server, init_server=init_server)


@functools.cache
def factor(num_bands: int, num_rounds: int) -> Float[np.ndarray, ' bands']:
  """C's first column, of norm 1: the least mean squared error of all sums."""
  # Not on top: with it comes an accountant that takes a second to import.
  from jax_privacy.matrix_factorization import toeplitz

  with jax.ensure_compile_time_eval():
    found = toeplitz.optimize_banded_toeplitz(num_rounds, num_bands)
  return np.asarray(found, np.float32)


def _inverse(coefficients: Float[Array, ' bands']) -> Any:
  """C^-1, to be multiplied with one row after another."""
  from jax_privacy.matrix_factorization import toeplitz

  return toeplitz.inverse_as_streaming_matrix(coefficients)
