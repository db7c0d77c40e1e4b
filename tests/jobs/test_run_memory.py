"""What clients of a run keep, as other jobs read it."""

import json

import jax
import numpy as np
import tiny_run

from fedjax_asr import saved_run
from fedjax_asr.federated.algorithms import ditto
from fedjax_asr.jobs import run_memory


def test_a_clients_model_is_its_row_of_that_round(remembered):
  names = json.loads((remembered / 'client_memory/rows.json').read_text())
  for index in map(int, tiny_run.checkpoints(remembered)):
    saved = saved_run.load(remembered, 'evaluate.run', index)
    personal = run_memory.personal_models(saved)
    for client, name in enumerate(names['clients']):
      versions = [
        int(path.suffix[1:])
        for path in (remembered / 'client_memory').glob(f'{client}.*')
        if int(path.suffix[1:]) <= index
      ]
      if not versions:
        assert personal(name) is None
        continue
      row = np.fromfile(
        remembered / f'client_memory/{client}.{max(versions)}', np.float32
      )
      params, norm_state = personal(name)
      leaves = [
        np.ravel(leaf)
        for tree in (params, norm_state)
        for _, leaf in sorted(_flat(tree))
      ]
      np.testing.assert_array_equal(np.concatenate(leaves), row)
      memory = run_memory.algorithm_memories(saved)(name)
      assert isinstance(memory, ditto.Personal)
      jax.tree.map(np.testing.assert_array_equal, memory.params, params)
    assert personal('nobody') is None


def test_a_client_that_never_took_part_has_the_servers_values(remembered):
  saved = saved_run.load(remembered, 'attack.run')
  memory = run_memory.algorithm_memories(saved)('nobody')
  assert memory.params is saved.params


def test_clients_of_a_run_without_memory_have_none(finished):
  saved = saved_run.load(finished[0], 'attack.run')
  assert run_memory.algorithm_memories(saved)('s1') == ()
  assert run_memory.personal_models(saved)('s1') is None


def _flat(tree, path=()):
  if not isinstance(tree, dict):
    return [(path, tree)]
  return [item for name in tree for item in _flat(tree[name], (*path, name))]
