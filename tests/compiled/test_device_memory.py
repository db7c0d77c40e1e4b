"""The table of what clients keep is updated in place, and rightly.

By the programs that users run, all optimisations on: XLA has overwritten what
it still had to read (test_in_place_update.py).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.federated import (
  client_memory,
  client_rows,
  device_memory,
  rounds,
)

# The last is large enough for XLA to cut its loop among threads.
SHAPES = (), (1,), (4, 1, 1), (101, 2), (300, 401)
SERVER = {'w': jnp.float32(0)}, {}


def opened(folder, num_clients, num_devices=1, shapes=SHAPES):
  def initial(params, norm_state):
    values = [jnp.full(shape, -1.0) + params['w'] for shape in shapes]
    return rounds.ClientMemory(values, ())

  leaves, tree = jax.tree.flatten(jax.eval_shape(initial, *SERVER))
  layout = client_memory.RowLayout(tree, leaves)
  return device_memory.DeviceMemories(
    initial,
    layout,
    client_rows.ClientRows(folder, layout.num_bytes, 0),
    jax.local_devices()[:num_devices],
    num_clients,
  )


def numbered(axes, start):
  """Memories in which no two numbers are alike, leaf by leaf."""
  leaves = []
  for shape in SHAPES:
    size = int(np.prod((*axes, *shape)))
    leaves.append(
      (start + np.arange(size, dtype=np.float32)).reshape(*axes, *shape)
    )
  return rounds.ClientMemory(leaves, ())


@pytest.mark.parametrize(
  ('num_clients', 'axes', 'cohorts'),
  [
    (1, (1, 1, 1), [[0], [-1], [0]]),
    (2, (1, 1, 1), [[1], [0], [-1], [1]]),
    (4, (1, 1, 4), [[3, 2, 1, 0], [0, 1, 2, 3], [3, -1, 1, -1]]),
    (5, (1, 4, 1), [[4, 3, 2, 1], [3, 2, 1, 0], [-1, -1, -1, -1]]),
    (5, (1, 2, 2), [[3, 1, 4, 2], [0, 4, -1, 1]]),
    (1, (2, 1, 1), [[0, -1], [-1, 0]]),
    (5, (2, 1, 2), [[4, 3, 2, 1], [-1, 4, 3, 0]]),
    (3, (4, 1, 1), [[2, 1, 0, -1], [-1, 0, 1, 2]]),
  ],
)
def test_each_row_is_its_clients(tmp_path, num_clients, axes, cohorts):
  memories = opened(tmp_path, num_clients, axes[0])
  wanted = [
    np.full((num_clients, *shape), -1.0, np.float32) for shape in SHAPES
  ]
  for index, clients in enumerate(cohorts, 1):
    ids = np.array(clients, np.int32).reshape(axes)
    before = memories.gather(ids, *SERVER)
    for found, rows in zip(before.algorithm, wanted, strict=True):
      first = np.full_like(rows[0], -1.0)
      for place, client in np.ndenumerate(ids):
        row = rows[client] if client >= 0 else first
        np.testing.assert_array_equal(found[place], row)
    after = numbered(axes, 1e5 * index)
    # What was gathered is not what the table then has in its place.
    memories.scatter(index, ids, jax.tree.map(jnp.asarray, after))
    for rows, leaf in zip(wanted, after.algorithm, strict=True):
      for place, client in np.ndenumerate(ids):
        if client >= 0:
          rows[client] = leaf[place]
    for found, rows in zip(memories._table.algorithm, wanted, strict=True):
      known = memories._is_known
      for shard in found.addressable_shards:
        np.testing.assert_array_equal(shard.data[known], rows[known])


@pytest.mark.parametrize('num_devices', [1, 2])
def test_the_table_is_not_copied(tmp_path, num_devices):
  memories = opened(tmp_path, 64, num_devices, [(1000,), (20, 30)])
  ids = np.arange(4, dtype=np.int32).reshape(num_devices, 2, -1)
  after = memories.gather(ids, *SERVER)
  program = memories._updated.lower(memories._table, ids, after).compile()
  sizes = program.memory_analysis()
  table = 64 * memories.layout.num_bytes
  assert sizes.alias_size_in_bytes == table
  assert sizes.temp_size_in_bytes < table / 4
  old = memories._table
  memories.scatter(1, ids, after)
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))


@pytest.mark.parametrize('num_devices', [1, 2])
def test_looking_up_takes_room_for_the_cohort_alone(tmp_path, num_devices):
  memories = opened(tmp_path, 64, num_devices, [(1000,), (20, 30)])
  ids = np.arange(4, dtype=np.int32).reshape(num_devices, 2, -1)
  program = memories._looked_up.lower(
    (memories._table, *SERVER), (ids, ids > 0)
  ).compile()
  sizes = program.memory_analysis()
  row = memories.layout.num_bytes
  assert sizes.output_size_in_bytes < 1.1 * row * 4 / num_devices
  assert sizes.temp_size_in_bytes < 2.1 * row * 4 / num_devices
