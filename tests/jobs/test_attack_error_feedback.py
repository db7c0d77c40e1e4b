"""An attack on a run whose clients keep what their code loses."""

import jax
import numpy as np
import pytest
import tiny_attack
import untrained_run

from fedjax_asr import config, json_file, run_files, saved_run
from fedjax_asr.federated import (
  algorithms,
  channels,
  client_memory,
  client_rows,
)
from fedjax_asr.jobs import attack_victims, attacked_run, run_memory


@pytest.fixture(scope='module')
def run(cached_throughout, tmp_path_factory):
  """All numbers are sent, so that what was kept shows as it is."""
  place = tmp_path_factory.mktemp('fed_back')
  cfg = tiny_attack.model_config(place)
  cfg.federated.compression = config.CompressionConfig(
    method=config.Compression.TOP_K, top_fraction=1.0, error_feedback=True
  )
  untrained_run.write(place / 'run', cfg)
  return place / 'run'


def keeps(run, name, value):
  """Writes the row of one client as of round 1, of this number throughout."""
  saved = saved_run.load(run, 'attack.run')
  federated = saved.config.federated
  layout = client_memory.row_layout(
    client_memory.initial_memory(
      algorithms.make(saved.acoustic, federated, saved.config.augment, 1),
      channels.make(federated),
    ),
    saved.acoustic,
  )
  files = run_files.RunFiles(run)
  rows = client_rows.ClientRows(files.client_memory, layout.num_bytes, 1)
  rows.write(0, 1, np.full(layout.num_bytes // 4, value, 'f').view(np.uint8))
  json_file.write(files.client_rows, {'clients': [name], 'leaves': {}})


def test_a_victim_sends_what_it_kept_as_well(run, tmp_path):
  cfg = tiny_attack.of_run(run)
  cfg.attack.observed = config.Observed.DELTA
  cfg.attack.num_victims = 1
  (victim,), (before,) = tiny_attack.observed(cfg, tmp_path)
  keeps(run, victim.name, 0.25)
  _, (after,) = tiny_attack.observed(cfg, tmp_path)
  jax.tree.map(
    lambda with_kept, alone: np.testing.assert_allclose(
      with_kept - alone, 0.25, atol=1e-6
    ),
    after.update,
    before.update,
  )
  assert after.treatment.compression == 'top_k 1 error_feedback'
  saved = saved_run.load(run, 'attack.run')
  (memory,) = run_memory.channel_memories(saved)('nobody')
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(memory))


def test_a_gradient_is_not_what_its_clients_keep_of(run, tmp_path):
  cfg = tiny_attack.of_run(run)
  cfg.attack.observed = config.Observed.GRADIENT
  with pytest.raises(config.ConfigError) as caught:
    attacked_run.load(cfg, tmp_path, lambda *_: None)
  assert str(caught.value).startswith(
    'config.attack.observed=gradient of a run of fedavg with federated.'
    'compression.error_feedback; want delta'
  )


@pytest.mark.parametrize(
  ('code', 'named'),
  [
    ({'method': 'quantized', 'bits': 3}, 'quantized 3 stochastic'),
    ({'method': 'random_k', 'top_fraction': 0.05}, 'random_k 0.05'),
    ({'method': 'sign', 'error_feedback': True}, 'sign error_feedback'),
    ({'method': 'none'}, ''),
  ],
)
def test_ledgers_name_the_code(code, named):
  method = config.Compression(code.pop('method'))
  cfg = config.CompressionConfig(method=method, **code)
  assert attack_victims._compression(cfg) == named
