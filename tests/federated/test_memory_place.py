"""Where what clients keep is, by what there is room for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from fedjax_asr import config
from fedjax_asr.federated import client_memory, memory_place

AUTO, DEVICE, HOST, DISK = (
  config.MemoryPlace.AUTO,
  config.MemoryPlace.DEVICE,
  config.MemoryPlace.HOST,
  config.MemoryPlace.DISK,
)
# Rows of a megabyte.
LAYOUT = client_memory.RowLayout(
  jax.tree.structure(0), [jax.ShapeDtypeStruct((250_000,), jnp.float32)]
)


class Device(NamedTuple):
  """What is asked of one; None: it does not tell."""

  platform: str
  stats: dict[str, int] | None

  def memory_stats(self):
    return self.stats


def gpu(megabytes):
  return Device('gpu', {'bytes_limit': megabytes * 10**6})


CPU = Device('cpu', {'bytes_limit': 10**15})
SILENT = Device('gpu', None)
OTHER = Device('gpu', {'bytes_in_use': 5})


@pytest.mark.parametrize(
  ('where', 'num_clients', 'device_list', 'wanted'),
  [
    (AUTO, 100, [gpu(400)], DEVICE),
    (AUTO, 101, [gpu(400)], HOST),
    (AUTO, 100, [gpu(10**6), gpu(399)], HOST),
    (AUTO, 10**9, [gpu(10**6)], DISK),
    (AUTO, 1, [CPU], HOST),
    (AUTO, 1, [SILENT], HOST),
    (AUTO, 1, [OTHER], HOST),
    (AUTO, 10**9, [CPU], DISK),
    (HOST, 10**9, [gpu(400)], HOST),
    (DISK, 1, [gpu(400)], DISK),
    (DEVICE, 400, [gpu(400)], DEVICE),
    (DEVICE, 10**9, [CPU], DEVICE),
    (DEVICE, 10**9, [SILENT], DEVICE),
  ],
)
def test_auto_is_where_a_quarter_holds_all_rows(
  where, num_clients, device_list, wanted
):
  found = memory_place.chosen(where, LAYOUT, num_clients, device_list)
  assert found is wanted


def test_devices_without_the_room_are_refused():
  with pytest.raises(config.ConfigError) as caught:
    memory_place.chosen(DEVICE, LAYOUT, 8000, [gpu(4000)])
  assert str(caught.value) == (
    "config.federated.memory.where='device'; want auto, host or disk: what "
    'clients keep takes 8 GB, and a device has 4.'
  )


def test_the_devices_of_this_machine_are_asked():
  found = memory_place.chosen(AUTO, LAYOUT, 1, jax.local_devices())
  is_cpu = jax.local_devices()[0].platform == 'cpu'
  assert found is (HOST if is_cpu else DEVICE)
