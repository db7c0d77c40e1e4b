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
  algorithms,
  channels,
  client_memory,
  client_rows,
  devices,
  partition,
)
from fedjax_asr.models import model

# A client's name -> (params, norm_state), or None.
PersonalFn = Callable[[str], tuple[model.Params, model.NormState] | None]


def open_memories(
  cfg: config.Config,
  acoustic: model.Model,
  files: run_files.RunFiles,
  clients: Sequence[partition.Client],
  device_list: Sequence[devices.Device],
  round_index: int,
) -> client_memory.ClientMemories:
  """Memories as they were after a round; the directory is only read.

  Raises:
    UserError: the rows there are of other clients or of another algorithm, or
      `config.federated.memory` is set and clients keep nothing.
  """
  federated = cfg.federated
  initial = client_memory.initial_memory(
    algorithms.make(acoustic, federated, cfg.augment, len(clients)),
    channels.make(federated.privacy, federated.compression),
  )
  layout = client_memory.row_layout(initial, acoustic)
  where = federated.memory.where
  if not layout.leaves and where is not config.MemoryPlace.AUTO:
    raise config.ConfigError(
      f'config.federated.memory.where={where.value!r}; want auto: clients keep '
      f'nothing with federated.algorithm={federated.algorithm}.'
    )
  if layout.leaves and round_index:
    _check(files, _described(layout, clients))
  rows = client_rows.ClientRows(
    files.client_memory, layout.num_bytes, round_index
  )
  if client_memory.is_held(where, layout, len(clients)):
    rows = client_rows.HeldRows(rows)
  return client_memory.ClientMemories(initial, layout, rows, device_list)


def begin(
  memories: client_memory.ClientMemories,
  directory: run_directory.RunDirectory,
  clients: Sequence[partition.Client],
) -> None:
  """Once nothing can be refused any more: the rows become this run's."""
  memories.discard_later()
  if memories.keeps_nothing:
    return
  directory.client_memory.mkdir(exist_ok=True)
  json_file.write(directory.client_rows, _described(memories.layout, clients))


def personal_models(saved: saved_run.SavedRun) -> PersonalFn:
  """The model of each client at the round, as far as clients keep one.

  By a client's name, which is its speaker's where clients are speakers; None
  for one that never took part until then.
  """
  files = run_files.RunFiles(saved.path)
  federated = saved.config.federated
  if not files.client_rows.exists():
    return lambda name: None
  names = json_file.read(files.client_rows)['clients']
  method = algorithms.make(
    saved.acoustic, federated, saved.config.augment, len(names)
  )
  line = channels.make(federated.privacy, federated.compression)
  layout = client_memory.row_layout(
    client_memory.initial_memory(method, line), saved.acoustic
  )
  rows = client_rows.ClientRows(
    files.client_memory, layout.num_bytes, saved.round
  )

  def personal(name):
    if method.personal is None or name not in names:
      return None
    row = rows.read(names.index(name))
    if row is None:
      return None
    memory = layout.tree.unflatten(layout.unpacked(row))
    return method.personal(saved.params, saved.norm_state, memory.algorithm)

  return personal


def _described(
  layout: client_memory.RowLayout, clients: Sequence[partition.Client]
) -> dict[str, Any]:
  tree = layout.tree.unflatten(layout.leaves)
  leaves = checkpoint.flatten(
    tree, lambda leaf: f'{leaf.dtype.name}{list(leaf.shape)}'
  )
  return {'leaves': leaves, 'clients': [client.name for client in clients]}


def _check(files: run_files.RunFiles, wanted: dict[str, Any]) -> None:
  """Rows are found by a client's number and taken apart by their layout."""
  if not files.client_rows.exists():
    return
  there = json_file.read(files.client_rows)
  for name, what in (
    ('clients', 'clients of another population'),
    ('leaves', 'clients of another algorithm or model'),
  ):
    if there.get(name) != wanted[name]:
      raise run_error.RunError(
        f'{files.client_memory} holds what {what} kept; want those of the run, '
        'or another --workdir.'
      )
