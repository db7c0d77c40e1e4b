"""What cannot be attacked is told in one line."""

import errno
import json
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest
import tiny_attack
import untrained_run

from fedjax_asr import checkpoint, config, main, run_directory
from fedjax_asr.attacks import observation
from fedjax_asr.jobs import attack_results, attacked_run


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('refused')


@pytest.fixture(scope='module')
def original(place):
  return tiny_attack.write_run(place)


@pytest.fixture
def run(original, tmp_path):
  """A copy, free to be damaged."""
  return pathlib.Path(shutil.copytree(original, tmp_path / 'run'))


@pytest.fixture
def refused(tmp_path, capsys):
  """`refused(source, *flags)`: the line, of an attack that fails."""

  def start(source, *flags):
    workdir = f'--workdir={tmp_path / "out"}'
    status = main.main(['fedjax_asr', source, workdir, *flags])
    errors = capsys.readouterr().err.splitlines()
    # These runs have no record of the corpus that they were never trained on.
    (line,) = [each for each in errors if not each.startswith('warning: ')]
    assert status == 2
    assert line.startswith('error: ')
    return line

  return start


_OF_RUN = f'--config={pathlib.Path(__file__).parents[2]}/configs/attack.py'


def _of(run):
  return _OF_RUN, f'--config.attack.run={run}'


def test_run_without_checkpoints_leaves_no_directory(refused, run, tmp_path):
  shutil.rmtree(run / 'checkpoints')
  assert 'has no checkpoints; want a run that has saved' in refused(*_of(run))
  assert 'has no config.json' in refused(*_of(tmp_path / 'none'))
  assert not (tmp_path / 'out').exists()
  assert not (tmp_path / 'none').exists()


def test_round_that_was_not_saved_is_named(refused, run):
  line = refused(*_of(run), '--config.attack.round=7')
  assert 'no checkpoint of round 7; want one of: 1, 2' in line


def test_victim_that_does_not_exist_is_named(refused, run):
  line = refused(*_of(run), '--config.attack.victim=s0009')
  assert "config.attack.victim='s0009': no such client among 3; near" in line


def test_run_is_not_written_to(refused, run):
  line = refused(*_of(run), f'--workdir={run}', '--allow_config_change')
  assert 'is the run itself' in line
  assert json.loads((run / 'config.json').read_text())['job'] == 'train'


def test_diverged_run_is_named(refused, run):
  cfg = tiny_attack.model_config(run.parent)
  nothing = jax.tree.map(
    lambda leaf: np.full_like(leaf, np.nan),
    untrained_run.state(cfg, 1).params,
  )
  diverged = untrained_run.state(cfg, 3)._replace(params=nothing)
  with run_directory.open_run(
    run, tiny_attack.model_config(run.parent), allow_config_change=True
  ) as directory:
    checkpoints = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
    checkpoints.save(3, diverged, None)
    checkpoints.close()
  line = refused(*_of(run))
  assert 'checkpoints/3 is of a training that diverged' in line
  assert 'params.dense_0.bias is not finite; want an earlier round' in line


def test_update_of_a_rate_of_zero_is_named(refused, place):
  """Of the linear schedule, when all rounds are done."""
  cfg = tiny_attack.model_config(place)
  cfg.federated.client.schedule = config.Schedule.LINEAR
  untrained_run.write(place / 'linear', cfg)
  flags = '--config.attack.observed=delta', '--config.attack.round=2'
  line = refused(*_of(place / 'linear'), *flags)
  assert 'in round 2: the update is zero everywhere' in line


def test_running_normalisation_is_refused_of_a_run_and_of_a_fresh_model(
  refused, place, tmp_path
):
  cfg = tiny_attack.model_config(place)
  cfg.features.normalization = config.Normalization.RUNNING
  run = tmp_path / 'running'
  untrained_run.write(run, cfg)
  statistics = {'mean': [0.0] * 8, 'std': [1.0] * 8}
  (run / 'statistics.json').write_text(json.dumps(statistics))
  wanted = 'features.normalization=running; want an attack on a run with utter'
  line = refused(*_of(run))
  assert line.startswith(f'error: {run}: {wanted}')
  flag = '--config.features.normalization=running'
  line = refused(tiny_attack.write_config(tmp_path), flag)
  assert wanted in line


@pytest.mark.parametrize('method', ['gradient_matching', 'hessian_free'])
def test_layer_that_the_model_lacks_is_named_before_any_attack(
  refused, run, tmp_path, method
):
  line = refused(
    *_of(run),
    f'--config.attack.methods=("span","{method}")',
    f'--config.attack.{method}.layers=("output","conv_0")',
  )
  assert f"config.attack.{method}.layers: layer 'conv_0'; want one of" in line
  assert 'dense_0' in line
  assert not (tmp_path / 'out').exists()


def test_unknown_parameter_to_withhold_is_named_before_any_attack(
  refused, run, tmp_path
):
  line = refused(*_of(run), '--config.attack.withheld=("dense_0/biases",)')
  assert "config.attack.withheld: 'dense_0/biases'" in line
  assert 'nearest: dense_0/bias.' in line
  assert not (tmp_path / 'out').exists()


def test_method_for_the_other_architecture_is_refused_at_the_start(
  refused, run, tmp_path
):
  line = refused(
    *_of(run), '--config.attack.methods=("span","demixing","span_descent")'
  )
  assert 'demixing, span_descent is for ds2, the model is ds1' in line
  wanted = line.partition('want () or some of ')[2]
  assert wanted.startswith('span, seed_and_grow, ')
  assert wanted.endswith('gradient_matching, hessian_free.')
  assert 'demixing' not in wanted
  assert not (tmp_path / 'out').exists()


def test_gradient_of_the_wrong_shape_is_named(place):
  cfg = tiny_attack.fresh(place)
  cfg.attack.num_victims = 1
  _, (observed,) = tiny_attack.observed(cfg, place)
  update = dict(observed.update)
  update['output'] = {**update['output'], 'bias': np.ones(28, np.float32)}
  with pytest.raises(
    observation.ObservationError, match=r'output/bias: update of shape \(28,\)'
  ):
    observation.check(observed._replace(update=update))


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('attack.round=3', 'want -1 without an attack.run'),
    ('attack.methods=("spam",)', 'want () or some of span, seed_and_grow'),
    ('attack.methods=("demixing",)', 'demixing is for ds2, the model is ds1'),
    ('attack.local_steps=2', '1 for attack.observed=gradient'),
    ('attack.min_seconds=3', 'at most attack.max_seconds=2.4'),
    ('attack.num_victims=7', '3 clients have'),
    ('attack.subset=heldout_utterances', 'has no such utterances'),
    ('attack.victim=nobody', 'no such client'),
    ('federated.cohort_size=9', 'want at most the population of 3'),
  ],
)
def test_flag_that_cannot_work_is_one_line(
  refused, place, tmp_path, flag, message
):
  line = refused(tiny_attack.write_config(place), f'--config.{flag}')
  assert message in line
  assert not (tmp_path / 'out').exists()


def test_stretches_of_the_runs_own_batches_are_refused(refused, place):
  line = refused(
    tiny_attack.write_config(place),
    '--config.attack.batch_size=0',
    '--config.attack.stretch_seconds=1',
  )
  assert 'config.attack.stretch_seconds=1.0; want 0 for' in line


def test_work_directory_that_cannot_be_written_is_named(
  refused, place, tmp_path
):
  (tmp_path / 'out').write_text('a file')
  line = refused(tiny_attack.write_config(place))
  assert 'want a directory that can be written' in line


def test_full_disk_is_one_line(refused, place, tmp_path, monkeypatch):
  def full(path, *_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

  monkeypatch.setattr(attack_results, 'write', full)
  line = refused(tiny_attack.write_config(place))
  assert line.endswith('No space left on device; the same command resumes.')


@pytest.mark.parametrize('num_aggregated', [1, 4, 9])
def test_of_a_secure_aggregate_no_other_number_of_clients_is_seen(
  num_aggregated,
):
  settings = config.FederatedConfig(
    cohort_size=8,
    secure_aggregation=config.SecureAggregationConfig(enabled=True),
  )
  attack = config.AttackConfig(num_aggregated=num_aggregated)
  with pytest.raises(config.ConfigError) as caught:
    attacked_run._check_secure(attack, settings)
  assert str(caught.value).startswith(
    f'config.attack.num_aggregated={num_aggregated} of a run with '
    'federated.secure_aggregation; want 5 to 8'
  )
  attacked_run._check_secure(config.AttackConfig(num_aggregated=5), settings)
