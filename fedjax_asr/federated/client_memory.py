"""Between the rows that clients keep and the arrays that a round takes."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.federated import (
  algorithm,
  channel,
  client_rows,
  devices,
  rounds,
)
from fedjax_asr.models import model

ClientIds = Int[np.ndarray, 'devices blocks clients']
# (params, norm_state) -> what a client has before its first round.
InitialMemory = Callable[[model.Params, model.NormState], rounds.ClientMemory]
# Of this machine's memory, at most this is taken for rows unasked.
_HELD_FRACTION = 0.25


class RowLayout(NamedTuple):
  """How one client's memory lies in a row: its leaves, one behind another."""

  tree: Any
  leaves: Sequence[jax.ShapeDtypeStruct]

  @property
  def num_bytes(self) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in self.leaves)

  def packed(
    self, leaves: Sequence[np.ndarray | np.generic]
  ) -> client_rows.Row:
    """The row that holds these."""
    row = np.empty(self.num_bytes, np.uint8)
    for place, leaf in zip(self.unpacked(row), leaves, strict=True):
      place[...] = leaf
    return row

  def unpacked(self, row: client_rows.Row) -> list[np.ndarray]:
    """Views of a row."""
    ends = np.cumsum([leaf.size * leaf.dtype.itemsize for leaf in self.leaves])
    parts = np.split(row, ends[:-1])
    return [
      part.view(leaf.dtype).reshape(leaf.shape)
      for part, leaf in zip(parts, self.leaves, strict=True)
    ]

  def memory(self, row: client_rows.Row) -> rounds.ClientMemory:
    """The memory whose leaves are `unpacked`."""
    return self.tree.unflatten(self.unpacked(row))


def initial_memory(
  method: algorithm.Algorithm, line: channel.Channel
) -> InitialMemory:
  """Of clients that learn and send so."""

  def initial(params, norm_state):
    return rounds.ClientMemory(
      algorithm=method.init_client(params, norm_state),
      channel=line.init(params) if line.init else (),
    )

  return initial


def row_layout(initial: InitialMemory, acoustic: model.Model) -> RowLayout:
  """Of the memories that `initial` gives for such a model."""
  values = jax.eval_shape(acoustic.init, jax.random.key(0))
  leaves, tree = jax.tree.flatten(jax.eval_shape(initial, *values))
  return RowLayout(tree, leaves)


def is_held(
  where: config.MemoryPlace, layout: RowLayout, num_clients: int
) -> bool:
  """Whether the rows of a whole population are to be in memory."""
  match where:
    case config.MemoryPlace.HOST:
      return True
    case config.MemoryPlace.DISK:
      return False
    case config.MemoryPlace.AUTO:
      total = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
      return layout.num_bytes * num_clients <= _HELD_FRACTION * total


class ClientMemories:
  """What each client keeps from round to round, by its index.

  Only clients that are drawn are ever read or written. Where clients keep
  nothing, nothing is done.
  """

  def __init__(
    self,
    initial: InitialMemory,
    layout: RowLayout,
    rows: client_rows.Rows,
    device_list: Sequence[devices.Device],
  ):
    self._initial = jax.jit(initial)
    self.layout = layout
    self._rows = rows
    self._devices = device_list

  @property
  def keeps_nothing(self) -> bool:
    return not self.layout.leaves

  @property
  def is_held(self) -> bool:
    """Whether rows are in this machine's memory."""
    return isinstance(self._rows, client_rows.HeldRows)

  def shapes(self, axes: Sequence[int]) -> rounds.ClientMemory:
    """Of what `gather` gives for ids of these axes, to compile ahead."""
    leaves = [
      jax.ShapeDtypeStruct((*axes, *leaf.shape), leaf.dtype)
      for leaf in self.layout.leaves
    ]
    return devices.spread_shapes(
      self.layout.tree.unflatten(leaves), self._devices
    )

  def gather(
    self,
    client_ids: ClientIds,
    params: model.Params,
    norm_state: model.NormState,
  ) -> rounds.ClientMemory:
    """On the devices, outermost axes devices, blocks, clients.

    A client that was never drawn, and padding (-1), has the initial memory for
    these values of the server.
    """
    if self.keeps_nothing:
      return self.layout.tree.unflatten([])
    stacked = [
      np.empty((*client_ids.shape, *leaf.shape), leaf.dtype)
      for leaf in self.layout.leaves
    ]
    initial = None
    for place, client in np.ndenumerate(client_ids):
      row = self._rows.read(int(client))
      if row is not None:
        leaves = self.layout.unpacked(row)
      else:
        if initial is None:
          initial = jax.tree.leaves(
            jax.device_get(self._initial(params, norm_state))
          )
        leaves = initial
      for whole, leaf in zip(stacked, leaves, strict=True):
        whole[place] = leaf
    return devices.spread(self.layout.tree.unflatten(stacked), self._devices)

  def scatter(
    self,
    round_index: int,
    client_ids: ClientIds,
    memories: rounds.ClientMemory,
  ) -> None:
    """Keeps what came out of a round; of -1, nothing."""
    if self.keeps_nothing:
      return
    leaves = jax.tree.leaves(jax.device_get(memories))
    for place, client in np.ndenumerate(client_ids):
      if client >= 0:
        row = self.layout.packed([leaf[place] for leaf in leaves])
        self._rows.write(int(client), round_index, row)

  def discard_later(self) -> None:
    """What rounds later than the one opened at left."""
    self._rows.discard_later()

  def sync(self, round_index: int) -> None:
    """Before the round's checkpoint is written."""
    self._rows.sync(round_index)

  def prune(self, rounds: Sequence[int]) -> None:
    """After: no other round's memories are needed any more."""
    self._rows.prune(rounds)
