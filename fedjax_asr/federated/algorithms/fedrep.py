"""FedRep (Collins et al. 2021, "Exploiting Shared Representations for
Personalized Federated Learning", Algorithm 1)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fedjax_asr.federated import algorithm, personal_part


def fedrep(
  fedavg: Callable[..., algorithm.Algorithm],
  is_head: personal_part.IsOwn,
  head_steps: int,
) -> algorithm.Algorithm:
  """A body that is averaged, under a head that is the client's own.

  A client's first steps move its head alone, and the others the body alone,
  under the head that they led to; a client of no more steps than that leaves
  the body as it is. The server follows the mean of the heads too, for speakers
  that it never heard; no client that has a head reads it.

  Args:
    fedavg: `fedavg.fedavg`, but for `correct`.
    is_head: of a parameter's path.
    head_steps: how many of a client's steps are its head's.
  """

  def is_trained(path, state):
    return is_head(path) == (state.totals.num_steps < head_steps)

  def of_the_trained(slope, state, broadcast):
    del broadcast
    return jax.tree_util.tree_map_with_path(
      lambda path, leaf: jnp.where(is_trained(path, state), leaf, 0.0), slope
    )

  base = fedavg(correct=of_the_trained)

  def step(broadcast, state, batch, key):
    moved = base.step(broadcast, state, batch, key)
    # An optimizer with momentum moves what has no gradient any more.
    params = jax.tree_util.tree_map_with_path(
      lambda path, new, old: jnp.where(is_trained(path, state), new, old),
      moved.params,
      state.params,
    )
    return moved._replace(params=params)

  return personal_part.keeping(
    base._replace(step=step), is_head, with_statistics=False
  )
