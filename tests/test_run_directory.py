import errno
import json
import os
import subprocess
import sys

import pytest

from fedjax_asr import (
  config,
  json_file,
  run_directory,
  run_error,
  run_files,
  run_history,
)


def _reopened(path, **changes):
  changed = config.Config()
  for name, value in changes.items():
    *sections, field = name.split('__')
    holder = changed
    for section in sections:
      holder = getattr(holder, section)
    setattr(holder, field, value)
  return run_directory.open_run(path, changed)


def _with_rounds(path):
  _reopened(path).close()
  (path / 'metrics.jsonl').write_text('{"round": 1}\n')


def test_config_json_is_the_resolved_config(tmp_path):
  with run_directory.open_run(tmp_path / 'a' / 'b', config.Config()) as run:
    saved = json.loads(run.config_json.read_text())
  assert saved == config.as_dict(config.Config())


def test_versions_name_packages_and_devices_once_per_environment(tmp_path):
  for _ in range(2):
    with run_directory.open_run(tmp_path, config.Config()) as run:
      run.begin()
      (record,) = json.loads(run.versions_json.read_text())
  assert set(record['devices']) == {'cpu'}
  assert all(record[name] for name in ('python', 'jax', 'orbax-checkpoint'))


def test_same_config_reopens(tmp_path):
  run_directory.open_run(tmp_path, config.Config()).close()
  run_directory.open_run(tmp_path, config.Config()).close()


def test_changed_fields_are_named_with_both_values(tmp_path):
  _with_rounds(tmp_path)
  before = (tmp_path / 'config.json').read_bytes()
  with pytest.raises(run_error.RunError) as caught:
    _reopened(tmp_path, seed=3, federated__cohort_size=16, data__path='x')
  message = str(caught.value)
  assert "seed: 0 -> 3, data.path: '' -> x, federated.cohort_size: 8" in message
  assert '--allow_config_change' in message
  assert '\n' not in message
  assert (tmp_path / 'config.json').read_bytes() == before


def test_at_most_five_changed_fields_are_shown(tmp_path):
  _with_rounds(tmp_path)
  fields = ('cohort_size', 'num_rounds', 'num_clients', 'block_size')
  changes = {f'federated__{field}': 77 for field in fields}
  changes |= {'seed': 1, 'name': 'x', 'model__ds2__dropout': 0.5}
  with pytest.raises(run_error.RunError, match='and 2 more') as caught:
    _reopened(tmp_path, **changes)
  assert str(caught.value).count(' -> ') == 5


def test_allowed_change_is_recorded(tmp_path):
  _with_rounds(tmp_path)
  before = (tmp_path / 'config.json').read_bytes()
  changed = config.Config(seed=3)
  with run_directory.open_run(
    tmp_path, changed, allow_config_change=True
  ) as run:
    assert run.changes == ['seed: 0 -> 3']
    assert (tmp_path / 'config.json').read_bytes() == before
    run.begin(num_rounds=1)
  run_directory.open_run(tmp_path, changed).close()
  assert (tmp_path / 'config.1.json').read_bytes() == before


def _changed_at(path, seed, num_rounds):
  with run_directory.open_run(
    path, config.Config(seed=seed), allow_config_change=True
  ) as run:
    run.begin(num_rounds, {run.statistics: f'"{seed}"'})


def _trained_by(path, round_index):
  """Seed and statistics of a round."""
  files = run_files.RunFiles(path)
  config_json, statistics = (
    json_file.read(run_history.of_round(file, round_index))
    for file in (files.config_json, files.statistics)
  )
  return config_json['seed'], statistics


def test_each_round_is_found_with_what_it_was_trained_by(tmp_path):
  _with_rounds(tmp_path)
  run_files.RunFiles(tmp_path).statistics.write_text('"0"')
  _changed_at(tmp_path, seed=1, num_rounds=4)
  _changed_at(tmp_path, seed=2, num_rounds=6)
  rounds = [_trained_by(tmp_path, index)[0] for index in range(1, 9)]
  assert rounds == [0, 0, 0, 0, 1, 1, 2, 2]
  assert _trained_by(tmp_path, 4) == (0, '0')
  # Somebody removed checkpoints, and the run goes on from round 3.
  _changed_at(tmp_path, seed=2, num_rounds=3)
  rounds = [_trained_by(tmp_path, index)[0] for index in range(1, 6)]
  assert rounds == [0, 0, 0, 2, 2]


def test_damaged_history_is_named(tmp_path):
  (tmp_path / 'history.json').write_text('{"a": 1}')
  with pytest.raises(run_error.RunError, match=r'history\.json: .*a list'):
    run_history.of_round(tmp_path / 'config.json', 1)


def test_run_that_will_not_go_on_says_what_it_was_not_changed_to(tmp_path):
  _with_rounds(tmp_path)
  changed = config.Config(seed=3)
  with (
    run_directory.open_run(tmp_path, changed, allow_config_change=True) as run,
    pytest.raises(run_error.RunError, match=r'is done: .*seed: 0 -> 3'),
  ):
    run.check_unchanged('is done')
  _reopened(tmp_path).check_unchanged('is done')


def test_where_things_lie_is_no_changed_config(tmp_path):
  _with_rounds(tmp_path)
  _reopened(tmp_path, data__cache_dir='x', data__num_workers=3).close()
  with pytest.raises(run_error.RunError, match=r'data\.path'):
    _reopened(tmp_path, data__path='moved')
  # What is read there decides, where the run knows it.
  run_files.RunFiles(tmp_path).corpus.write_text('{}')
  _reopened(tmp_path, data__path='moved', data__heldout_path='too').close()


def test_results_of_another_job_are_never_taken_over(tmp_path):
  _with_rounds(tmp_path)
  other = config.Config(job=config.Job.EVALUATE)
  with pytest.raises(run_error.RunError, match='of the job train; give'):
    run_directory.open_run(tmp_path, other, allow_config_change=True)


@pytest.mark.parametrize(
  'number', [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL]
)
def test_file_system_without_locks_is_a_warning(
  tmp_path, monkeypatch, caplog, number
):
  def flock(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr('fcntl.flock', flock)
  _reopened(tmp_path).close()
  (record,) = caplog.records
  assert f'cannot be locked ({os.strerror(number)})' in record.getMessage()


def test_lock_that_is_held_may_be_told_by_eacces(tmp_path, monkeypatch):
  def flock(*_):
    raise OSError(errno.EACCES, 'no')

  monkeypatch.setattr('fcntl.flock', flock)
  with pytest.raises(run_error.RunError, match='in use by another'):
    _reopened(tmp_path)


def test_config_may_change_until_there_is_a_round(tmp_path):
  _reopened(tmp_path, data__path='mistyped').close()
  (tmp_path / 'metrics.jsonl').write_text('')
  with _reopened(tmp_path, data__path='mended') as run:
    run.begin()
  saved = json.loads((tmp_path / 'config.json').read_text())
  assert saved['data']['path'] == 'mended'
  (tmp_path / 'checkpoints' / '1').mkdir(parents=True)
  with pytest.raises(run_error.RunError, match='mended -> again'):
    _reopened(tmp_path, data__path='again')


def test_refused_run_lets_go_of_the_directory(tmp_path):
  _with_rounds(tmp_path)
  with pytest.raises(run_error.RunError):
    _reopened(tmp_path, seed=3)
  _reopened(tmp_path).close()


def test_one_process_at_a_time(tmp_path):
  with (
    run_directory.open_run(tmp_path, config.Config()),
    pytest.raises(run_error.RunError, match='in use by another process'),
  ):
    run_directory.open_run(tmp_path, config.Config())
  run_directory.open_run(tmp_path, config.Config()).close()


def test_lock_of_a_killed_process_does_not_block(tmp_path):
  program = (
    'import sys, time; from fedjax_asr import config, run_directory\n'
    'run = run_directory.open_run(sys.argv[1], config.Config())\n'
    'print("open", flush=True); time.sleep(60)'
  )
  with subprocess.Popen(
    [sys.executable, '-c', program, str(tmp_path)], stdout=subprocess.PIPE
  ) as process:
    assert process.stdout
    assert process.stdout.readline() == b'open\n'
    with pytest.raises(run_error.RunError, match='in use'):
      run_directory.open_run(tmp_path, config.Config())
    process.kill()
  run_directory.open_run(tmp_path, config.Config()).close()


def test_workdir_that_is_a_file_is_one_line(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(run_error.RunError, match=r'--workdir=.*/file: '):
    run_directory.open_run(tmp_path / 'file', config.Config())


@pytest.mark.parametrize('text', ['{"seed"', '[]'])
def test_damaged_config_json_is_named(tmp_path, text):
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(run_error.RunError, match=r'config\.json is not'):
    run_directory.open_run(tmp_path, config.Config())


def test_sections_of_other_jobs_may_change(tmp_path):
  """They change nothing of a run, and other versions have others."""
  _with_rounds(tmp_path)
  file = tmp_path / 'config.json'
  saved = json.loads(file.read_text())
  saved['attack']['round'] = 7
  del saved['export']
  file.write_text(json.dumps(saved))
  with _reopened(tmp_path) as run:
    assert run.changes == []
    run.begin()
  assert json.loads(file.read_text()) == config.as_dict(config.Config())
  assert not (tmp_path / 'config.1.json').exists()


def test_run_of_a_version_without_later_fields_reopens(tmp_path):
  _with_rounds(tmp_path)
  file = tmp_path / 'config.json'
  saved = json.loads(file.read_text())
  del saved['federated']['privacy'], saved['model']['ds2']['frozen_norm']
  del saved['data']['numbers'], saved['evaluation'], saved['seed'], saved['job']
  file.write_text(json.dumps(saved))
  with _reopened(tmp_path) as run:
    assert run.changes == []
  with pytest.raises(run_error.RunError, match=r'\(seed: 0 -> 3\)'):
    _reopened(tmp_path, seed=3)
  with pytest.raises(run_error.RunError, match=r'clip_norm: 0.0 -> 2.0'):
    _reopened(tmp_path, federated__privacy__clip_norm=2.0)


def test_config_may_not_change_once_there_are_results_of_an_attack(tmp_path):
  _reopened(tmp_path).close()
  run_files.RunFiles(tmp_path).attack.write_text('[]')
  with pytest.raises(run_error.RunError, match='seed: 0 -> 1'):
    _reopened(tmp_path, seed=1)


def _failing(path, before):
  """A start that does something, and then fails."""
  with run_directory.open_run(path, config.Config()) as run:
    before(run)
    raise ZeroDivisionError


def test_failed_start_removes_what_it_made_and_no_more(tmp_path):
  (tmp_path / 'notes').write_text('mine')

  def before(run):
    run.checkpoints.mkdir()
    (tmp_path / 'a').mkdir(exist_ok=True)
    (tmp_path / 'a' / 'of another').write_text('')

  for folder in (tmp_path / 'a' / 'b', tmp_path):
    with pytest.raises(ZeroDivisionError):
      _failing(folder, before)
    assert {entry.name for entry in tmp_path.iterdir()} == {'a', 'notes'}
    assert not (tmp_path / 'a' / 'b').exists()


def test_run_that_began_stays_when_it_fails(tmp_path):
  with pytest.raises(ZeroDivisionError):
    _failing(tmp_path / 'run', lambda run: run.begin())
  _reopened(tmp_path / 'run').close()
  assert (tmp_path / 'run' / 'config.json').exists()
