"""What the clients of a run keep from round to round, in its directory."""

from collections.abc import Callable, Sequence
from typing import Any

from fedjax_asr import (
  checkpoint,
  config,
  json_file,
  run_directory,
  run_error,
  run_files,
  saved_run,
)
from fedjax_asr.federated import (
  algorithm,
  algorithms,
  channel,
  channels,
  client_memory,
  client_rows,
  devices,
  memory_place,
  partition,
  rounds,
)
from fedjax_asr.jobs import disk_errors
from fedjax_asr.models import model

# Of a client, by its name; None where it keeps nothing, or not yet.
PersonalFn = Callable[[str], tuple[model.Params, model.NormState] | None]
KeptFn = Callable[[str], rounds.ClientMemory | None]
MemoryFn = Callable[[str], algorithm.Memory]
ChannelMemoryFn = Callable[[str], channel.Memory]
_TOLD = {
  config.MemoryPlace.DEVICE: 'on the devices',
  config.MemoryPlace.HOST: 'in memory',
  config.MemoryPlace.DISK: 'on the disk',
}


def open_memories(
  cfg: config.Config,
  acoustic: model.Model,
  directory: run_directory.RunDirectory,
  clients: Sequence[partition.Client],
  device_list: Sequence[devices.Device],
  round_index: int,
) -> memory_place.Memories:
  """Memories as they were after a round; the directory is only read.

  Raises:
    UserError: the rows there are of other clients or of another algorithm, or
      are gone or damaged, or `config.federated.memory` is set and clients keep
      nothing, or keep more than a device has room for.
  """
  federated = cfg.federated
  initial = client_memory.initial_memory(
    algorithms.make(acoustic, federated, cfg.augment, len(clients)),
    channels.make(federated),
  )
  layout = client_memory.row_layout(initial, acoustic)
  where = federated.memory.where
  if not layout.leaves and where is not config.MemoryPlace.AUTO:
    raise config.ConfigError(
      f'config.federated.memory.where={where.value!r}; want auto: clients keep '
      f'nothing with federated.algorithm={federated.algorithm}.'
    )
  if layout.leaves and round_index:
    _check(directory, _described(layout, clients))
  place = memory_place.chosen(where, layout, len(clients), device_list)
  files = client_rows.ClientRows(
    directory.client_memory, layout.num_bytes, round_index
  )
  return memory_place.opened(
    place, initial, layout, files, device_list, len(clients)
  )


def begin(
  memories: memory_place.Memories,
  directory: run_directory.RunDirectory,
  clients: Sequence[partition.Client],
) -> None:
  """Once nothing can be refused any more: the rows become this run's.

  Before the config does: else a run that was killed in between would miss rows
  that a change of its algorithm had just begun.
  """
  memories.discard_later()
  if memories.keeps_nothing:
    return
  directory.client_memory.mkdir(exist_ok=True)
  json_file.write(directory.client_rows, _described(memories.layout, clients))


def told(memories: memory_place.Memories, num_clients: int) -> tuple[str, ...]:
  """A line on what clients keep, if they do."""
  if memories.keeps_nothing:
    return ()
  size = memories.layout.num_bytes / 1e6
  place = _TOLD[memories.place]
  return (
    f'each client keeps {size:.3g} MB from round to round, {place}; all '
    f'{num_clients} of them {size * num_clients / 1e3:.3g} GB',
  )


def personal_models(saved: saved_run.SavedRun) -> PersonalFn:
  """The model of each client at the round, as far as clients keep one.

  By a client's name, which is its speaker's where clients are speakers; None
  for one that never took part until then.
  """
  method = _method(saved)
  kept = _kept(saved)

  def personal(name):
    memory = kept(name)
    if method.personal is None or memory is None:
      return None
    return method.personal(saved.params, saved.norm_state, memory.algorithm)

  return personal


def algorithm_memories(saved: saved_run.SavedRun) -> MemoryFn:
  """What a client of that name would take into the run's next round."""
  method = _method(saved)
  kept = _kept(saved)

  def memory(name):
    found = kept(name)
    if found is None:
      return method.init_client(saved.params, saved.norm_state)
    return found.algorithm

  return memory


def channel_memories(saved: saved_run.SavedRun) -> ChannelMemoryFn:
  """The same of the channel's part, such as what a code lost."""
  line = channels.make(saved.config.federated)
  if line.init is None:
    return lambda name: ()
  begin = line.init(saved.params)
  kept = _kept(saved)

  def memory(name):
    found = kept(name)
    return begin if found is None else found.channel

  return memory


def _method(saved: saved_run.SavedRun) -> algorithm.Algorithm:
  # What clients keep does not depend on how many they are.
  return algorithms.make(
    saved.acoustic, saved.config.federated, saved.config.augment, 1
  )


def _kept(saved: saved_run.SavedRun) -> KeptFn:
  """Rows as of the round, by name; only read, also of a run under way."""
  files = run_files.RunFiles(saved.path)
  if not files.client_rows.exists():
    return lambda name: None
  federated = saved.config.federated
  line = channels.make(federated)
  layout = client_memory.row_layout(
    client_memory.initial_memory(_method(saved), line), saved.acoustic
  )
  rows = client_rows.ClientRows(
    files.client_memory, layout.num_bytes, saved.round
  )
  names = json_file.read(files.client_rows)['clients']

  def kept(name):
    if not layout.leaves or name not in names:
      return None
    # A run that is under way may have dropped the round.
    with disk_errors.explained(files.client_memory):
      row = rows.read(names.index(name))
    return None if row is None else layout.memory(row)

  return kept


def _described(
  layout: client_memory.RowLayout, clients: Sequence[partition.Client]
) -> dict[str, Any]:
  tree = layout.tree.unflatten(layout.leaves)
  leaves = checkpoint.flatten(
    tree, lambda leaf: f'{leaf.dtype.name}{list(leaf.shape)}'
  )
  return {'leaves': leaves, 'clients': [client.name for client in clients]}


def _check(
  directory: run_directory.RunDirectory, wanted: dict[str, Any]
) -> None:
  """Rows are found by a client's number and taken apart by their layout."""
  if directory.changes and not directory.client_rows.exists():
    # Until now clients may have kept nothing.
    return
  there = json_file.read(directory.client_rows)
  for name, what in (
    ('clients', 'clients of another population'),
    ('leaves', 'clients of another algorithm or model'),
  ):
    if there.get(name) != wanted[name]:
      raise run_error.RunError(
        f'{directory.client_memory} holds what {what} kept; want those of the '
        'run, or another --workdir.'
      )
