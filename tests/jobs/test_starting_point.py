import contextlib

import jax
import numpy as np
import pytest
import untrained_run

from fedjax_asr import checkpoint, config
from fedjax_asr.federated import devices
from fedjax_asr.jobs import attacked_run, starting_point
from fedjax_asr.models import model


@pytest.fixture(scope='module')
def seed_run(tmp_path_factory):
  path = tmp_path_factory.mktemp('seed') / 'run'
  untrained_run.write(path, untrained_run.small_config())
  return path


def _config(seed_run):
  cfg = untrained_run.small_config()
  cfg.federated.init_from = str(seed_run)
  cfg.federated.server.optimizer = config.ServerOptimizer.ADAM
  cfg.seed = 5
  return cfg


def _started(cfg, directory):
  """What training starts from, with the checkpoints of a directory."""
  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  checkpoints = checkpoint.Checkpoints(directory, cfg.checkpoint)
  with contextlib.closing(checkpoints):
    state, behind = starting_point.starting_point(
      cfg, acoustic, checkpoints, devices.select(cfg.federated), 8
    )
  return jax.device_get(state), behind


def _same(got, want):
  assert jax.tree.structure(got) == jax.tree.structure(want)
  pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
  return all(np.array_equal(one, other) for one, other in pairs)


def test_a_seed_model_gives_parameters_and_nothing_else(seed_run, tmp_path):
  state, behind = _started(_config(seed_run), tmp_path)
  last = untrained_run.state(untrained_run.small_config(), 2)
  assert _same(state.params, last.params)
  assert _same(state.norm_state, last.norm_state)
  assert behind == 0
  assert state.round == 0
  moments = state.opt_state[0].mu
  assert all(not leaf.any() for leaf in jax.tree.leaves(moments))


def test_without_a_seed_model_parameters_are_fresh(seed_run, tmp_path):
  cfg = _config(seed_run)
  cfg.federated.init_from = ''
  state, _ = _started(cfg, tmp_path)
  last = untrained_run.state(untrained_run.small_config(), 2)
  assert not _same(state.params, last.params)


def test_a_checkpoint_goes_before_the_seed_model(seed_run, tmp_path):
  cfg = untrained_run.small_config()
  untrained_run.write(tmp_path / 'run', cfg)
  cfg.federated.init_from = 'deleted since'
  state, behind = _started(cfg, tmp_path / 'run' / 'checkpoints')
  assert behind == 2
  assert _same(state.params, untrained_run.state(cfg, 2).params)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda cfg: setattr(cfg.model.ds2, 'recurrent_size', 5),
      'is of another model: ',
    ),
    (
      lambda cfg: setattr(cfg.model, 'architecture', config.Architecture.DS1),
      'is of another model: ',
    ),
    (
      lambda cfg: setattr(cfg.features, 'hop_ms', 20.0),
      'was trained with config.features.hop_ms=10.0; want 20.0.',
    ),
    (
      lambda cfg: setattr(cfg.federated, 'init_from', 'nowhere'),
      'has no config.json',
    ),
  ],
)
def test_a_seed_model_that_does_not_fit_is_named(
  seed_run, tmp_path, change, message
):
  cfg = _config(seed_run)
  change(cfg)
  with pytest.raises(config.UserError) as caught:
    _started(cfg, tmp_path)
  assert message in str(caught.value)
  assert 'config.federated.init_from=' in str(caught.value)
  assert '\n' not in str(caught.value)


def test_a_fresh_model_under_attack_is_the_one_a_run_starts_from(tmp_path):
  """A victim before its first round has the model of the run of that seed."""
  cfg = untrained_run.small_config()
  cfg.seed = 7
  cfg.features.normalization = config.Normalization.NONE
  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  wanted = starting_point.fresh(cfg, acoustic, 8)
  found = attacked_run.untrained(cfg, tmp_path, lambda done, total: None)
  assert _same(found.params, wanted.params)
  assert _same(found.norm_state, wanted.norm_state)
