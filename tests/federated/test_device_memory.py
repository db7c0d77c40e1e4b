"""What clients keep on the devices is what they would have kept elsewhere."""

import jax
import jax.numpy as jnp
import linear
import numpy as np
import optax
import pytest
import tiny_memory

from fedjax_asr import config
from fedjax_asr.federated import (
  channel,
  client_memory,
  client_rows,
  device_memory,
  devices,
  memory_place,
  rounds,
)
from fedjax_asr.federated.algorithms import scaffold

DEVICE, HOST = config.MemoryPlace.DEVICE, config.MemoryPlace.HOST
NUM_CLIENTS = 11


LAYOUT = client_memory.row_layout(tiny_memory.initial, tiny_memory.ACOUSTIC)


def opened(
  folder, place=DEVICE, round_index=0, num_devices=1, num_clients=NUM_CLIENTS
):
  files = client_rows.ClientRows(folder, LAYOUT.num_bytes, round_index)
  device_list = jax.local_devices()[:num_devices]
  return memory_place.opened(
    place, tiny_memory.initial, LAYOUT, files, device_list, num_clients
  )


def server(index):
  """The server's values in a round."""
  return {'w': jnp.float32([index, -index])}, {'n': jnp.int32(index)}


def gathered(memories, ids, index=0):
  return jax.device_get(memories.gather(ids, *server(index)))


def some(rng, ids):
  """Memories of which every number is drawn, of padding too, NaN among them."""
  v = rng.normal(size=(*ids.shape, 2)).astype(np.float32)
  v[..., 0][rng.random(ids.shape) < 0.2] = np.nan
  return rounds.ClientMemory(
    algorithm={
      'v': jnp.asarray(v),
      'half': jnp.asarray(rng.normal(size=(*ids.shape, 3)), jnp.bfloat16),
      'flag': jnp.asarray(rng.random(ids.shape) < 0.5),
    },
    channel=(jnp.asarray(rng.integers(0, 99, ids.shape), jnp.int32),),
  )


def drawn(rng, axes, num_padding=0):
  """Clients of a round; some places are of none."""
  size = int(np.prod(axes))
  ids = rng.choice(NUM_CLIENTS, size, replace=False).astype(np.int32)
  ids[rng.choice(size, num_padding, replace=False)] = -1
  return ids.reshape(axes)


def leaves_of(memories, place):
  """As bytes, so that NaN is NaN."""
  leaves = jax.tree.leaves(memories)
  return [np.asarray(leaf)[place].tobytes() for leaf in leaves]


AXES = [(1, 1, 4), (1, 2, 2), (1, 4, 1), (2, 1, 4), (2, 2, 2), (1, 1, 1)]


@pytest.mark.parametrize('axes', AXES)
def test_each_has_what_it_was_left_with_or_the_servers_values(tmp_path, axes):
  """Against a dictionary."""
  memories = opened(tmp_path, num_devices=axes[0])
  rng = np.random.default_rng(0)
  kept = {}
  for index in range(1, 6):
    num_padding = index % 2 * (np.prod(axes) > 1)
    ids = drawn(rng, axes, num_padding)
    found = gathered(memories, ids, index)
    first = jax.device_get(tiny_memory.initial(*server(index)))
    for place, client in np.ndenumerate(ids):
      wanted = kept.get(client, leaves_of(first, ...))
      assert leaves_of(found, place) == wanted, (index, place, client)
    after = some(rng, ids)
    memories.scatter(index, ids, after)
    kept |= {
      client: leaves_of(after, place)
      for place, client in np.ndenumerate(ids)
      if client >= 0
    }


def test_what_is_gathered_lies_where_the_round_was_compiled_for(tmp_path):
  memories = opened(tmp_path, num_devices=2)
  ids = np.array([[[3], [-1]], [[0], [5]]], np.int32)
  found = memories.gather(ids, *server(0))
  shapes = memories.shapes(ids.shape)
  assert jax.tree.structure(shapes) == jax.tree.structure(found)
  for shape, array in zip(*map(jax.tree.leaves, (shapes, found)), strict=True):
    assert (shape.shape, shape.dtype) == (array.shape, array.dtype)
    assert shape.sharding == array.sharding


def files_of(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def small_chunks(monkeypatch):
  """Of two rows."""
  num_bytes = 2 * LAYOUT.num_bytes + 1
  monkeypatch.setattr(device_memory, '_CHUNK_BYTES', num_bytes)


@pytest.mark.parametrize('num_devices', [1, 2])
def test_files_are_those_of_rows_in_memory(small_chunks, tmp_path, num_devices):
  """And from either, the run goes on at either place."""
  axes = (num_devices, 1, 4 // num_devices)
  rng = np.random.default_rng(1)
  folders = {place: tmp_path / place for place in (DEVICE, HOST)}
  places = {
    place: opened(folder, place, num_devices=num_devices)
    for place, folder in folders.items()
  }
  for index in range(1, 9):
    ids = drawn(rng, axes, index % 3)
    after = some(rng, ids)
    for memories in places.values():
      memories.scatter(index, ids, after)
      if index % 2 == 0:
        memories.sync(index)
        memories.prune([index - 2, index])
    if index == 7:
      # Killed; a round is lost, and the places are changed.
      places = {
        place: opened(folders[other], place, 6, num_devices)
        for place, other in ((DEVICE, HOST), (HOST, DEVICE))
      }
      for memories in places.values():
        memories.discard_later()
    if index % 2 == 0:
      assert files_of(folders[HOST]) == files_of(folders[DEVICE])
  everybody = np.arange(NUM_CLIENTS - 1, dtype=np.int32)
  everybody = everybody.reshape(num_devices, 1, -1)
  on_device, on_host = (
    gathered(places[place], everybody, 9) for place in (DEVICE, HOST)
  )
  assert leaves_of(on_device, ...) == leaves_of(on_host, ...)


def test_rows_of_later_rounds_are_not_loaded(tmp_path):
  memories = opened(tmp_path)
  ids = np.array([[[4]]], np.int32)
  rng = np.random.default_rng(2)
  kept = [some(rng, ids) for _ in range(2)]
  for index, after in enumerate(kept, 1):
    memories.scatter(index, ids, after)
    memories.sync(index)
  for index, after in enumerate(kept, 1):
    found = gathered(opened(tmp_path, round_index=index), ids)
    assert leaves_of(found, ...) == leaves_of(after, ...)
  found = gathered(opened(tmp_path), ids, 3)
  first = jax.device_get(tiny_memory.initial(*server(3)))
  assert leaves_of(found, (0, 0, 0)) == leaves_of(first, ...)


def test_a_damaged_row_is_told_at_the_start(tmp_path):
  (tmp_path / '3.1').write_bytes(b'ab')
  with pytest.raises(config.UserError, match=r'3\.1 is damaged: 2 bytes'):
    opened(tmp_path, round_index=1)


def test_only_what_changed_is_fetched_and_a_chunk_at_a_time(
  small_chunks, tmp_path, monkeypatch
):
  memories = opened(tmp_path)
  fetched = []
  device_get = jax.device_get

  def counted(tree):
    fetched.append(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
    return device_get(tree)

  monkeypatch.setattr(jax, 'device_get', counted)
  rng = np.random.default_rng(3)
  for index in range(1, 4):
    ids = np.array([[[7, 2, -1, 0, index + 7]]], np.int32)
    memories.gather(ids, *server(index))
    memories.scatter(index, ids, some(rng, ids))
  # Nothing comes to the host while rounds go on.
  assert not fetched
  memories.sync(3)
  assert fetched == [2 * LAYOUT.num_bytes] * 3
  wanted = {'7.3', '2.3', '0.3', '8.1', '9.2', '10.3'}
  assert {path.name for path in tmp_path.iterdir()} == wanted
  memories.sync(4)
  assert len(fetched) == 3


def test_programs_are_compiled_once(small_chunks, tmp_path):
  memories = opened(tmp_path, num_devices=2)
  rng = np.random.default_rng(4)
  for index in range(1, 7):
    ids = drawn(rng, (2, 1, 2), index % 3)
    before = memories.gather(ids, *server(index))
    after = jax.tree.map(jnp.copy, before)
    memories.scatter(index, ids, after)
    memories.sync(index)
  programs = [memories._looked_up, memories._updated, memories._rows]
  assert [program._cache_size() for program in programs] == [1, 1, 1]


def test_nothing_is_done_where_nothing_is_kept(tmp_path):
  def nothing(params, norm_state):
    return rounds.NO_MEMORIES

  layout = client_memory.row_layout(nothing, tiny_memory.ACOUSTIC)
  memories = device_memory.DeviceMemories(
    nothing,
    layout,
    client_rows.ClientRows(tmp_path / 'rows', 0, 0),
    jax.local_devices()[:1],
    4,
  )
  assert memories.keeps_nothing
  ids = np.array([[[1, -1]]], np.int32)
  assert memories.gather(ids, *server(0)) == rounds.NO_MEMORIES
  assert memories.shapes(ids.shape) == rounds.NO_MEMORIES
  memories.scatter(1, ids, rounds.NO_MEMORIES)
  memories.sync(1)
  assert not (tmp_path / 'rows').exists()


# A client whose features overflow, and one that has nothing.
CLIENTS = (
  *linear.UNEQUAL,
  linear.Data([[((np.nan, 1.0), 2)]]),
  linear.Data([]),
  linear.Data([[((1.0, 0.5), 1)]]),
)
COHORTS = [0, 1, 2], [4, 2, 0], [3, 1, 4], [2, 1, 0], [4, 3, 1]


@pytest.mark.parametrize(
  ('num_devices', 'device_map', 'block_size'),
  [
    (1, 'shard_map', 1),
    (1, 'shard_map', 2),
    (1, 'shard_map', 4),
    (2, 'shard_map', 1),
    (2, 'shard_map', 2),
    (2, 'pmap', 1),
    (2, 'pmap', 2),
  ],
)
def test_rounds_are_the_same_to_the_bit(
  tmp_path, num_devices, device_map, block_size
):
  """SCAFFOLD, of variates that begin at the server's values."""
  method = scaffold.scaffold(
    linear.gradient,
    optax.sgd,
    config.Weighting.UNIFORM,
    config.ControlVariate.STEPS,
    len(CLIENTS),
  )._replace(init_client=lambda params, _: params)
  outcomes = [
    _outcome(
      tmp_path / place, place, method, device_map, num_devices, block_size
    )
    for place in (DEVICE, HOST)
  ]
  jax.tree.map(np.testing.assert_array_equal, *outcomes)
  # Nothing was kept of who was broken.
  assert '2.4' not in outcomes[0][1]
  assert outcomes[0][1].keys() == {'0.4', '1.5', '3.5', '4.5'}


def _outcome(folder, place, method, device_map, num_devices, block_size):
  """(the server's state, files) after rounds as the job runs them."""
  simulation = linear.Simulation(
    method,
    config.FederatedConfig(
      client=config.ClientConfig(learning_rate=0.1),
      device_map=config.DeviceMap(device_map),
    ),
    CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
  )
  state = simulation.state
  initial = client_memory.initial_memory(method, channel.chain([]))
  layout = client_memory.row_layout(
    initial,
    tiny_memory.ACOUSTIC._replace(init=lambda key: ({'w': jnp.zeros(2)}, {})),
  )
  memories = memory_place.opened(
    place,
    initial,
    layout,
    client_rows.ClientRows(folder, layout.num_bytes, 0),
    simulation.devices,
    len(CLIENTS),
  )
  for index, ids in enumerate(COHORTS, 1):
    members = linear.members(CLIENTS, ids, **simulation.layout)
    state, after, outcome = simulation.round_fn(
      state,
      devices.spread(members, simulation.devices),
      memories.gather(members.client_ids, state.params, state.norm_state),
      jax.random.key(0),
    )
    is_broken = np.asarray(outcome.reports.is_broken)
    assert is_broken.sum() == (2 in ids)
    memories.scatter(index, np.where(is_broken, -1, members.client_ids), after)
  memories.sync(len(COHORTS))
  if place is DEVICE:
    # The first state is not laid out as a round leaves it.
    assert memories._looked_up._cache_size() <= 2
    assert memories._updated._cache_size() == 1
  files = {
    name: np.frombuffer(row, np.uint8) for name, row in files_of(folder).items()
  }
  return jax.device_get(state), files
