"""Where what clients keep is from round to round."""

import os
from collections.abc import Sequence

from fedjax_asr import config
from fedjax_asr.federated import (
  client_memory,
  client_rows,
  device_memory,
  devices,
)

Memories = client_memory.ClientMemories | device_memory.DeviceMemories
# Of the memory of a device or of this machine, at most this is taken unasked.
_FRACTION = 0.25


def chosen(
  where: config.MemoryPlace,
  layout: client_memory.RowLayout,
  num_clients: int,
  device_list: Sequence[devices.Device],
) -> config.MemoryPlace:
  """Any but AUTO: of a device's memory or the machine's, a quarter at most.

  Raises:
    config.ConfigError: the devices were asked for and cannot hold the rows.
  """
  num_bytes = layout.num_bytes * num_clients
  of_devices = _device_bytes(device_list)
  match where:
    case config.MemoryPlace.AUTO:
      if num_bytes <= _FRACTION * of_devices:
        return config.MemoryPlace.DEVICE
      of_host = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
      if num_bytes <= _FRACTION * of_host:
        return config.MemoryPlace.HOST
      return config.MemoryPlace.DISK
    case config.MemoryPlace.DEVICE if 0 < of_devices < num_bytes:
      raise config.ConfigError(
        f'config.federated.memory.where={where.value!r}; want auto, host or '
        f'disk: what clients keep takes {num_bytes / 1e9:.3g} GB, and a device '
        f'has {of_devices / 1e9:.3g}.'
      )
  return where


def opened(
  place: config.MemoryPlace,
  initial: client_memory.InitialMemory,
  layout: client_memory.RowLayout,
  files: client_rows.ClientRows,
  device_list: Sequence[devices.Device],
  num_clients: int,
) -> Memories:
  """The memories that are in the files, at a place that was `chosen`."""
  if place is config.MemoryPlace.DEVICE:
    return device_memory.DeviceMemories(
      initial, layout, files, device_list, num_clients
    )
  rows = files
  if place is config.MemoryPlace.HOST:
    rows = client_rows.HeldRows(files)
  return client_memory.ClientMemories(initial, layout, rows, device_list)


def _device_bytes(device_list: Sequence[devices.Device]) -> int:
  """Of the smallest; 0 where that is the host's own, or not told."""
  return min(
    0
    if device.platform == 'cpu'
    else (device.memory_stats() or {}).get('bytes_limit', 0)
    for device in device_list
  )
