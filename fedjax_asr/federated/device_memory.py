"""What clients keep, on the devices from round to round."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.federated import (
  client_memory,
  client_rows,
  devices,
  rounds,
)
from fedjax_asr.models import model

# A memory with an axis of clients before all others.
Table = rounds.ClientMemory
# Bytes that rows on their way to and from files take at once, or one row.
_CHUNK_BYTES = 2**28


class DeviceMemories:
  """What each client keeps from round to round, by its index, in one table.

  All rows of the population are on each device, with `client_memory`'s
  guarantees. Neither `gather` nor `scatter` waits for the devices; `sync`
  fetches what changed, a chunk at a time, into the files that other places of
  memory have, too.
  """

  place = config.MemoryPlace.DEVICE

  def __init__(
    self,
    initial: client_memory.InitialMemory,
    layout: client_memory.RowLayout,
    files: client_rows.ClientRows,
    device_list: Sequence[devices.Device],
    num_clients: int,
  ):
    """With the rows that are in the files.

    Raises:
      UserError: one is damaged.
    """
    self.layout = layout
    self._files = files
    self._devices = device_list
    self._is_known = np.zeros(num_clients, bool)
    # The round of each row that no file has.
    self._unwritten: dict[int, int] = {}
    self._chunk = min(
      num_clients, max(1, _CHUNK_BYTES // max(1, layout.num_bytes))
    )
    everywhere = NamedSharding(devices.mesh(device_list), PartitionSpec())
    self._looked_up = _looked_up(initial, device_list)
    self._updated = _updated(device_list)
    self._rows = jax.jit(_rows, out_shardings=everywhere)
    self._with_rows = jax.jit(
      _with_rows, donate_argnums=0, out_shardings=everywhere
    )
    self._table: Table = layout.tree.unflatten(
      [
        jnp.zeros((num_clients, *leaf.shape), leaf.dtype, device=everywhere)
        for leaf in layout.leaves
      ]
    )
    if not self.keeps_nothing:
      self._load()

  @property
  def keeps_nothing(self) -> bool:
    return not self.layout.leaves

  def shapes(self, axes: Sequence[int]) -> rounds.ClientMemory:
    """Of what `gather` gives for ids of these axes, to compile ahead."""
    return self.layout.shapes(axes, self._devices)

  def gather(
    self,
    client_ids: client_memory.ClientIds,
    params: model.Params,
    norm_state: model.NormState,
  ) -> rounds.ClientMemory:
    """On the devices, outermost axes devices, blocks, clients.

    A client that was never drawn, and padding (-1), has the initial memory for
    these values of the server.
    """
    if self.keeps_nothing:
      return self.layout.tree.unflatten([])
    is_known = (client_ids >= 0) & self._is_known[client_ids]
    drawn = devices.spread((client_ids, is_known), self._devices)
    return self._looked_up((self._table, params, norm_state), drawn)

  def scatter(
    self,
    round_index: int,
    client_ids: client_memory.ClientIds,
    memories: rounds.ClientMemory,
  ) -> None:
    """Keeps what came out of a round; of -1, nothing."""
    if self.keeps_nothing:
      return
    self._table = self._updated(self._table, client_ids, memories)
    clients = client_ids[client_ids >= 0]
    self._is_known[clients] = True
    self._unwritten.update(dict.fromkeys(clients.tolist(), round_index))

  def discard_later(self) -> None:
    """What rounds later than the one opened at left."""
    self._files.discard_later()

  def sync(self, round_index: int) -> None:
    """Before the round's checkpoint is written."""
    for ids in self._chunks(list(self._unwritten)):
      rows = jax.tree.leaves(jax.device_get(self._rows(self._table, ids)))
      for place, client in enumerate(ids.tolist()):
        if client < 0:
          continue
        row = self._files.room(client)
        self.layout.pack(row, [leaf[place] for leaf in rows])
        self._files.write(client, self._unwritten[client], row)
    self._unwritten.clear()
    self._files.sync(round_index)

  def prune(self, rounds: Sequence[int]) -> None:
    """After: no other round's memories are needed any more."""
    self._files.prune(rounds)

  def _load(self) -> None:
    for ids in self._chunks(self._files.clients):
      leaves = self.layout.stacked([self._chunk])
      for place, client in enumerate(ids.tolist()):
        row = self._files.read(client) if client >= 0 else None
        if row is not None:
          for whole, leaf in zip(
            leaves, self.layout.unpacked(row), strict=True
          ):
            whole[place] = leaf
      rows = devices.replicate(
        self.layout.tree.unflatten(leaves), self._devices
      )
      self._table = self._with_rows(self._table, ids, rows)
    self._is_known[self._files.clients] = True

  def _chunks(self, clients: list[int]) -> Iterator[Int[np.ndarray, ' chunk']]:
    """All of one length, so that one program serves; the rest is -1."""
    for start in range(0, len(clients), self._chunk):
      ids = np.full(self._chunk, -1, np.int32)
      part = clients[start : start + self._chunk]
      ids[: len(part)] = part
      yield ids


def _rows(table: Table, ids: Int[jax.Array, ' rows']) -> Table:
  """Of -1, those of some client."""
  return jax.tree.map(lambda whole: whole[jnp.maximum(ids, 0)], table)


def _with_rows(
  table: Table, ids: Int[jax.Array, ' rows'], rows: Table
) -> Table:
  """The table with these rows in place of its clients'; -1 has no row."""
  outside = jax.tree.leaves(table)[0].shape[0] + jnp.arange(ids.size)
  places = jnp.where(ids < 0, outside, ids)
  return jax.tree.map(
    lambda whole, part: whole.at[places].set(
      part, mode='drop', unique_indices=True
    ),
    table,
    rows,
  )


def _looked_up(
  initial: client_memory.InitialMemory, device_list: Sequence[devices.Device]
):
  """`((table, params, norm_state), (ids, is_known))`: each device's slice."""

  def look_up(shared, drawn):
    table, params, norm_state = shared
    ids, is_known = drawn

    def row(whole, first):
      known = is_known.reshape(is_known.shape + (1,) * first.ndim)
      return jnp.where(known, whole[jnp.maximum(ids, 0)], first)

    return jax.tree.map(row, table, initial(params, norm_state))

  return jax.jit(
    jax.shard_map(
      look_up,
      mesh=devices.mesh(device_list),
      in_specs=(PartitionSpec(), PartitionSpec(devices.AXIS)),
      out_specs=PartitionSpec(devices.AXIS),
      check_vma=False,
    )
  )


def _updated(device_list: Sequence[devices.Device]):
  """`(table, ids, memories)`: the table, in place, alike on each device."""

  def update(table, ids, memories):
    def all_rows(leaf):
      leaf = jax.lax.all_gather(leaf, devices.AXIS, axis=0, tiled=True)
      return leaf.reshape(-1, *leaf.shape[3:])

    return _with_rows(table, ids.ravel(), jax.tree.map(all_rows, memories))

  return jax.jit(
    jax.shard_map(
      update,
      mesh=devices.mesh(device_list),
      in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(devices.AXIS)),
      out_specs=PartitionSpec(),
      check_vma=False,
    ),
    donate_argnums=0,
  )
