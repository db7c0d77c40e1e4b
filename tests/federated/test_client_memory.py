"""Between rows and arrays on devices, and who is touched."""

import jax
import jax.numpy as jnp
import linear
import ml_dtypes
import numpy as np
import optax
import pytest
import tiny_memory

from fedjax_asr import config
from fedjax_asr.federated import (
  channel,
  channels,
  client_memory,
  client_rows,
  rounds,
)
from fedjax_asr.federated.algorithms import fedavg


class Counted(client_rows.HeldRows):
  """Says who was read."""

  def __init__(self, files):
    super().__init__(files)
    self.asked = []

  def read(self, client):
    self.asked.append(client)
    return super().read(client)


@pytest.fixture
def memories(tmp_path):
  layout = client_memory.row_layout(tiny_memory.initial, tiny_memory.ACOUSTIC)
  rows = client_rows.ClientRows(tmp_path / 'rows', layout.num_bytes, 0)
  return client_memory.ClientMemories(
    tiny_memory.initial, layout, Counted(rows), jax.local_devices()[:2]
  )


IDS = np.array([[[4, -1], [2, 0]], [[9, 1], [3, 5]]])


def gathered(memories, ids=IDS, params=tiny_memory.PARAMS):
  return memories.gather(ids, params, {'n': jnp.int32(0)})


def marked(memories, ids=IDS):
  """What a round might make of them: each client's own numbers."""
  ids = jnp.asarray(ids)
  return rounds.ClientMemory(
    algorithm={
      'v': ids[..., None] + jnp.array([0.25, 0.5]),
      'half': jnp.repeat(ids[..., None], 3, -1).astype(jnp.bfloat16),
      'flag': ids % 2 == 0,
    },
    channel=(ids * 10,),
  )


def test_what_is_scattered_is_gathered_wherever_a_client_lies(memories):
  memories.scatter(1, IDS, marked(memories))
  ids = np.array([[[5, 3]], [[9, 4]]])
  found = gathered(memories, ids)
  jax.tree.map(
    np.testing.assert_array_equal, found, marked(memories, jnp.asarray(ids))
  )
  assert found.algorithm['half'].dtype == ml_dtypes.bfloat16
  assert len(found.algorithm['v'].sharding.device_set) == 2


def test_padding_and_newcomers_have_the_servers_values(memories):
  memories.scatter(1, IDS, marked(memories))
  later = {'w': jnp.array([8.0, 9.0])}
  found = gathered(memories, np.array([[[-1, 4]], [[6, 7]]]), later)
  np.testing.assert_array_equal(
    found.algorithm['v'], [[[[8, 9], [4.25, 4.5]]], [[[8, 9], [8, 9]]]]
  )
  np.testing.assert_array_equal(found.channel[0], [[[7, 40]], [[7, 7]]])


def test_only_drawn_clients_are_touched(memories, tmp_path):
  memories.scatter(1, IDS, marked(memories))
  memories.sync(1)
  written = {path.name for path in (tmp_path / 'rows').iterdir()}
  assert written == {'4.1', '2.1', '0.1', '9.1', '1.1', '3.1', '5.1'}
  gathered(memories, np.array([[[9, -1]], [[6, 2]]]))
  assert set(memories._rows.asked) <= {9, -1, 6, 2}


def test_shapes_are_those_of_what_is_gathered(memories):
  found = gathered(memories)
  shapes = memories.shapes(IDS.shape)
  assert jax.tree.structure(shapes) == jax.tree.structure(found)
  for shape, array in zip(*map(jax.tree.leaves, (shapes, found)), strict=True):
    assert (shape.shape, shape.dtype) == (array.shape, array.dtype)
    assert shape.sharding == array.sharding


def test_the_stateless_pay_nothing(tmp_path):
  method = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UNIFORM)
  line = channels.make(config.FederatedConfig())
  initial = client_memory.initial_memory(method, line)
  layout = client_memory.row_layout(initial, tiny_memory.ACOUSTIC)
  rows = Counted(client_rows.ClientRows(tmp_path / 'rows', 0, 0))
  memories = client_memory.ClientMemories(
    initial, layout, rows, jax.local_devices()[:2]
  )
  assert memories.keeps_nothing
  found = gathered(memories)
  assert found == rounds.NO_MEMORIES == memories.shapes(IDS.shape)
  memories.scatter(1, IDS, found)
  memories.sync(1)
  assert not rows.asked
  assert not (tmp_path / 'rows').exists()


def test_a_channel_keeps_something_of_its_own(tmp_path):
  line = channel.chain(
    [
      channel.Channel(
        init=lambda params: params['w'] * 0,
        client=lambda message, memory, sender: (message, memory, False),
      )
    ]
  )
  method = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UNIFORM)
  layout = client_memory.row_layout(
    client_memory.initial_memory(method, line), tiny_memory.ACOUSTIC
  )
  assert [leaf.shape for leaf in layout.leaves] == [(2,)]


def test_what_was_gathered_is_not_what_is_scattered_later(memories):
  """Rows are filled anew in place, and arrays of a CPU may lie in NumPy's."""
  memories.scatter(1, IDS, marked(memories))
  before = gathered(memories)
  memories.scatter(2, IDS, marked(memories, np.maximum(IDS, 0) + 20))
  jax.tree.map(
    lambda found, wanted: np.testing.assert_array_equal(
      np.asarray(found)[IDS >= 0], np.asarray(wanted)[IDS >= 0]
    ),
    before,
    marked(memories),
  )
