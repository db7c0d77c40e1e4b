"""Independent Gaussian noise: a client's own, or the server's on the sum.

A function of (secret, round) and nothing else, so that a run that goes on
repeats none and skips none. By hand and not by
`jax_privacy.noise_addition.gaussian_privatizer`, whose state is a key that is
split round after round.
"""

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from fedjax_asr import streams
from fedjax_asr.federated import channel


def noised(
  update: PyTree, stddev: float | Float[Array, ''], key: jax.Array
) -> PyTree:
  """Plus independent Gaussian noise on every number."""
  noise = standard(update, key)
  return jax.tree.map(lambda leaf, draw: leaf + stddev * draw, update, noise)


def standard(like: PyTree, key: jax.Array) -> PyTree:
  """Independent normal numbers of deviation 1, in the shapes of a tree."""
  # One draw for all arrays: it compiles in a third of the time.
  flat, like_update = jax.flatten_util.ravel_pytree(like)
  return like_update(jax.random.normal(key, flat.shape, flat.dtype))


def of_client(stddev: float) -> channel.Channel:
  """Noise of the client's own on every number of its update."""
  return channel.of_params(
    lambda params, sender: noised(
      params,
      stddev,
      streams.of_client(sender.secret, streams.ClientStream.NOISE),
    )
  )


def of_server(stddev: float) -> channel.Channel:
  """The server's noise on every number of the weighted sum.

  For weights of 1 and updates clipped to a norm C, one client moves that sum by
  C at most. There is noise also where nobody sent anything: that a round was
  empty is a secret too.
  """

  def server(sums, state, key):
    params = noised(sums.update.params, stddev, key)
    return with_sum(sums, params), state

  return channel.Channel(channel.untouched, server)


def with_sum(sums, params: PyTree):
  """The sums with another one of the parameters."""
  return sums._replace(update=sums.update._replace(params=params))


def by_public_cohort(cohort_size: int) -> channel.Channel:
  """The mean is the sum over how many clients a round expects.

  Over how many came would say whether one did, and would move by more than a
  client's share: entry one of jax-privacy's list of sharp edges.
  """

  def server(sums, state, key):
    del key
    return sums._replace(weight=jnp.float32(cohort_size)), state

  return channel.Channel(channel.untouched, server)
