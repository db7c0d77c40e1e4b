"""Between the rows that clients keep and the arrays that a round takes."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
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
# Threads that copy rows: more do not make memory faster.
_NUM_THREADS = min(16, os.cpu_count() or 1)
# Bytes at whose multiples an array begins that XLA uses on a CPU as it is;
# others it copies first.
_ALIGNMENT = 64


class RowLayout(NamedTuple):
  """How one client's memory lies in a row: its leaves, one behind another."""

  tree: Any
  leaves: Sequence[jax.ShapeDtypeStruct]

  @property
  def num_bytes(self) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in self.leaves)

  def pack(
    self, row: client_rows.Row, leaves: Sequence[np.ndarray | np.generic]
  ) -> None:
    """Fills a row."""
    for place, leaf in zip(self.unpacked(row), leaves, strict=True):
      place[...] = leaf

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

  def stacked(self, axes: Sequence[int]) -> list[np.ndarray]:
    """Leaves of clients along such axes, to be filled."""
    return [_aligned((*axes, *leaf.shape), leaf.dtype) for leaf in self.leaves]

  def shapes(
    self, axes: Sequence[int], device_list: Sequence[devices.Device]
  ) -> rounds.ClientMemory:
    """Of memories along such axes, the first of which is the devices'."""
    leaves = [
      jax.ShapeDtypeStruct((*axes, *leaf.shape), leaf.dtype)
      for leaf in self.leaves
    ]
    return devices.spread_shapes(self.tree.unflatten(leaves), device_list)


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


class ClientMemories:
  """What each client keeps from round to round, by its index, in rows.

  Only clients that are drawn are ever read or written. Where clients keep
  nothing, nothing is done. No client is in a round twice.
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
  def place(self) -> config.MemoryPlace:
    if isinstance(self._rows, client_rows.HeldRows):
      return config.MemoryPlace.HOST
    return config.MemoryPlace.DISK

  def shapes(self, axes: Sequence[int]) -> rounds.ClientMemory:
    """Of what `gather` gives for ids of these axes, to compile ahead."""
    return self.layout.shapes(axes, self._devices)

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
    stacked = self.layout.stacked(client_ids.shape)

    def fill(place, leaves):
      for whole, leaf in zip(stacked, leaves, strict=True):
        whole[place] = leaf

    def read(item):
      place, client = item
      row = self._rows.read(int(client))
      if row is None:
        return place
      fill(place, self.layout.unpacked(row))
      return None

    unread = [
      place
      for place in _in_threads(read, np.ndenumerate(client_ids))
      if place is not None
    ]
    if unread:
      initial = jax.device_get(self._initial(params, norm_state))
      leaves = jax.tree.leaves(initial)
      _in_threads(lambda place: fill(place, leaves), unread)
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

    def write(item):
      place, client = item
      row = self._rows.room(client)
      self.layout.pack(row, [leaf[place] for leaf in leaves])
      self._rows.write(client, round_index, row)

    _in_threads(
      write,
      [
        (place, int(client))
        for place, client in np.ndenumerate(client_ids)
        if client >= 0
      ],
    )

  def discard_later(self) -> None:
    """What rounds later than the one opened at left."""
    self._rows.discard_later()

  def sync(self, round_index: int) -> None:
    """Before the round's checkpoint is written."""
    self._rows.sync(round_index)

  def prune(self, rounds: Sequence[int]) -> None:
    """After: no other round's memories are needed any more."""
    self._rows.prune(rounds)


def _aligned(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
  size = math.prod(shape) * dtype.itemsize
  room = np.empty(size + _ALIGNMENT, np.uint8)
  start = -room.ctypes.data % _ALIGNMENT
  return room[start : start + size].view(dtype).reshape(shape)


def _in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> list:
  """`map`; copies of arrays and reads of files run side by side."""
  with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
    return list(pool.map(function, items))
