"""A part of the model that stays with the client, whatever is averaged."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from fedjax_asr.federated import algorithm
from fedjax_asr.models import model

# Of a parameter's path: whether it is part of what a client keeps.
IsOwn = Callable[[jax.tree_util.KeyPath], bool]


class Own(NamedTuple):
  """What a client keeps; () of the running statistics where it keeps none.

  params: those of the model's that are its own, None in place of the others.
  """

  params: model.Params
  norm_state: model.NormState | tuple[()]


def keeping(
  base: algorithm.Algorithm, is_own: IsOwn, *, with_statistics: bool
) -> algorithm.Algorithm:
  """An algorithm whose clients start from their own values of a part.

  They send the rest and that part alike: what the server holds of it is where
  their mean leads, and serves speakers that never took part.

  Args:
    base: keeps nothing itself.
    is_own: the part.
    with_statistics: of norms, too.
  """

  def kept(params, norm_state):
    return Own(part(params, is_own), norm_state if with_statistics else ())

  def personal(params, norm_state, memory):
    params = merged(params, memory.params)
    return params, memory.norm_state if with_statistics else norm_state

  def start(broadcast, participant, memory):
    params, norm_state = personal(
      broadcast.params, broadcast.norm_state, memory
    )
    own = broadcast._replace(params=params, norm_state=norm_state)
    return base.start(own, participant, ())

  def finish(broadcast, state):
    message, _ = base.finish(broadcast, state)
    return message, kept(state.params, state.norm_state)

  return base._replace(
    init_client=kept,
    start=start,
    finish=finish,
    shares_start=False,
    personal=personal,
  )


def part(params: model.Params, is_own: IsOwn) -> model.Params:
  """The parameters, with None in place of all others."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf if is_own(path) else None, params
  )


def merged(params: model.Params, own: model.Params) -> model.Params:
  """The parameters, with those of a part in their places."""
  return jax.tree.map(
    lambda mine, shared: shared if mine is None else mine,
    own,
    params,
    is_leaf=lambda leaf: leaf is None,
  )
