"""A run that was ended at any moment ends as if it never was."""

import json
import os
import resource
import signal
import types

import pytest
import tiny_run

from fedjax_asr import checkpoint, run_log

# Kills itself at a moment of a round: with a metrics line that no checkpoint
# follows, with half a line, or with half a checkpoint.
_KILLED = """
import os, pathlib, signal, sys
from fedjax_asr import checkpoint, main, run_log

moment, at = sys.argv.pop(1), int(sys.argv.pop(1))
save, rename = checkpoint.Checkpoints.save, os.rename
write = run_log.MetricsLog.write


def die():
  os.kill(os.getpid(), signal.SIGKILL)


def killed_write(self, index, record):
  if moment == 'line' and index == at:
    self._lines._file.write('{"round": %d, "tra' % at)
    self._lines._file.flush()
    die()
  write(self, index, record)


def killed_save(self, index, *rest, **named):
  if moment == 'save' and index == at:
    die()
  save(self, index, *rest, **named)
  if index < at:
    self.wait()


def killed_rename(source, target, **named):
  if moment == 'checkpoint' and pathlib.Path(target).name == str(at):
    die()
  rename(source, target, **named)


checkpoint.Checkpoints.save = killed_save
run_log.MetricsLog.write = killed_write
os.rename = killed_rename
sys.exit(main.main(sys.argv))
"""


def test_killed_run_ends_as_if_it_never_was(
  finished, source, tmp_path, environment
):
  workdir = f'--workdir={tmp_path / "run"}'

  def rounds():
    return [line['round'] for line in tiny_run.metrics(tmp_path / 'run')]

  def saved():
    return {path.name for path in (tmp_path / 'run/checkpoints').iterdir()}

  def kill(moment, at):
    done = tiny_run.start(
      moment, str(at), source, workdir, program=_KILLED, **environment
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout

  assert 'from round 0 of 6' in kill('save', 4)
  assert rounds() == [1, 2, 3, 4]
  assert saved() == {'2'}
  assert 'from round 2 of 6' in kill('line', 5)
  text = (tmp_path / 'run' / 'metrics.jsonl').read_text()
  assert text.endswith('\n{"round": 5, "tra')
  assert 'from round 4 of 6' in kill('checkpoint', 6)
  assert rounds() == [1, 2, 3, 4, 5, 6]
  assert saved() >= {'2', '4'}
  assert any(name.startswith('6.') for name in saved())
  assert '6' not in saved()
  done = tiny_run.start(source, workdir, **environment)
  assert done.returncode == 0, done.stderr
  assert 'from round 4 of 6' in done.stdout
  tiny_run.assert_same_outcome(tmp_path / 'run', finished[0])


def _full_disk_before(monkeypatch, index):
  """Orbax is not even asked to write."""
  del index
  monkeypatch.setattr(
    'shutil.disk_usage', lambda path: types.SimpleNamespace(free=10)
  )


def _full_disk_within(monkeypatch, index):
  """Writes past this size fail, in Orbax's threads too."""
  del monkeypatch, index
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))


@pytest.mark.parametrize('fill', [_full_disk_before, _full_disk_within])
def test_full_disk_at_a_checkpoint_loses_nothing(
  main, finished, tmp_path, monkeypatch, fill
):
  save = checkpoint.Checkpoints.save

  def save_on_full_disk(self, index, *rest, **named):
    if index == 4:
      self.wait()
      fill(monkeypatch, index)
    save(self, index, *rest, **named)

  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  with monkeypatch.context():
    monkeypatch.setattr(checkpoint.Checkpoints, 'save', save_on_full_disk)
    try:
      status, _, errors = main(tmp_path / 'run')
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.undo()
  assert status == 2
  assert 'error: the checkpoint of round 4 could not be written' in errors[-1]
  assert 'intact (rounds: 2); the same command resumes.' in errors[-1]
  assert fill is _full_disk_within or len(errors) == 1
  assert tiny_run.checkpoints(tmp_path / 'run').keys() == {'2'}
  status, output, errors = main(tmp_path / 'run')
  assert (status, errors) == (0, [])
  assert 'from round 2 of 6' in output
  assert tiny_run.metrics(tmp_path / 'run') == tiny_run.metrics(finished[0])


def test_interrupted_run_finishes_its_checkpoint(main, tmp_path, monkeypatch):
  save = checkpoint.Checkpoints.save

  def interrupted_save(self, index, *rest, force):
    save(self, index, *rest, force=force)
    # Once: it is saved again, forced, for the signal.
    if index == 2 and not force:
      os.kill(os.getpid(), signal.SIGINT)

  monkeypatch.setattr(checkpoint.Checkpoints, 'save', interrupted_save)
  status, _, errors = main(tmp_path / 'run')
  assert status == 130
  assert errors == ['interrupted; the same command resumes this run.']
  assert os.listdir(tmp_path / 'run' / 'checkpoints') == ['2']
  tiny_run.checkpoints(tmp_path / 'run')


def test_terminated_run_saves_its_round_and_ends_as_if_it_never_was(
  main, finished, tmp_path, monkeypatch
):
  write = run_log.MetricsLog.write

  def terminated_write(self, index, record):
    write(self, index, record)
    if index == 3:
      os.kill(os.getpid(), signal.SIGTERM)

  with monkeypatch.context() as patch:
    patch.setattr(run_log.MetricsLog, 'write', terminated_write)
    status, _, errors = main(tmp_path / 'run')
  assert status == 128 + signal.SIGTERM == 143
  assert errors == ['ended by SIGTERM; the same command resumes this run.']
  assert set(os.listdir(tmp_path / 'run' / 'checkpoints')) == {'2', '3'}
  status, output, _ = main(tmp_path / 'run')
  assert status == 0
  assert 'from round 3 of 6' in output
  tiny_run.assert_same_outcome(tmp_path / 'run', finished[0])


def test_loss_that_grew_is_said(main, stopped):
  """Against the rounds before the run was stopped, too."""
  lines = tiny_run.metrics(stopped)
  before = [json.dumps(line | {'train/loss': 0.1}) + '\n' for line in lines]
  (stopped / 'metrics.jsonl').write_text(''.join(before))
  status, output, _ = main(stopped)
  assert status == 0
  assert 'round 5: warning: loss ' in output
  assert 'round 6: warning' not in output


def test_other_cores_are_noted(main, stopped):
  file = stopped / 'versions.json'
  records = json.loads(file.read_text())
  records[-1]['cpu_cores'] = 999
  file.write_text(json.dumps(records))
  status, output, _ = main(stopped)
  assert status == 0
  assert 'CPU core(s) here, 999 before' in output
