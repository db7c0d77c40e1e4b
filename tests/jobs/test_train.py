import json
import os
import re
import resource
import shutil
import signal
import types

import numpy as np
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
    self._file.write('{"round": %d, "tra' % at)
    self._file.flush()
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


def test_checkpoint_holds_all_that_a_round_changes(finished):
  leaves = tiny_run.checkpoints(finished[0])['6']
  prefixes = {name.partition('.')[0] for name in leaves}
  assert prefixes == {'params', 'norm_state', 'opt_state', 'round'}
  assert leaves['round'] == 6
  ranked = finished[0] / 'checkpoints' / '6' / 'metrics' / 'metrics'
  wer = tiny_run.metrics(finished[0])[-1]['eval/wer']
  assert json.loads(ranked.read_text()) == {'wer': wer}
  assert any(np.ptp(leaf) for name, leaf in leaves.items() if '.mu.' in name)


def test_each_shape_is_compiled_once(finished):
  errors = finished[1].stderr
  rounds = re.findall(r'Compiling jit\(round_fn\)', errors)
  evaluations = re.findall(r'Compiling jit\(forward\).*', errors)
  assert len(rounds) == 1
  # Three evaluations of two sets, in the same two shapes: 64 and 128 frames.
  assert len(evaluations) == 2


def test_metrics_have_every_round_and_name(finished):
  path, _ = finished
  lines = [
    json.loads(line)
    for line in (path / 'metrics.jsonl').read_text().splitlines()
  ]
  assert [line['round'] for line in lines] == [1, 2, 3, 4, 5, 6]
  every = {
    'train/loss',
    'train/gradient_norm',
    'train/delta_norm',
    'train/num_utterances',
    'train/num_infeasible',
    'learning_rate',
    'padding_waste',
    'round_seconds',
    'clients_per_second',
    'times_real_time',
  }
  scores = {'eval/wer', 'eval/cer', 'eval/loss'}
  scores |= {'eval/utterance_wer', 'eval/utterance_cer'}
  for line in lines:
    wanted = every | {'round'}
    wanted |= scores if line['round'] % 2 == 0 else set()
    wanted |= {'compile_seconds'} if line['round'] == 1 else set()
    assert line.keys() == wanted
  # Compilation is not part of the first round.
  assert lines[0]['compile_seconds'] > 3 * lines[0]['round_seconds']


def test_reports_are_of_the_last_round(finished):
  path, done = finished
  speakers = json.loads((path / 'speakers.json').read_text())
  transcripts = json.loads((path / 'transcripts.json').read_text())
  assert speakers['round'] == transcripts['round'] == 6
  ((name, score),) = speakers['speakers'].items()
  assert score['num_utterances'] == len(transcripts['transcripts']) == 4
  assert score['wer'] == tiny_run.metrics(path)[-1]['eval/wer']
  assert {item['speaker'] for item in transcripts['transcripts']} == {name}
  assert done.stdout.count('  said  ') == 3 * 3
  assert (path / 'figures' / 'training_progress.png').stat().st_size > 10_000
  assert f'in {path}, first figure' in done.stdout


def test_finished_run_says_so_and_touches_nothing(main, finished):
  path, _ = finished

  def files():
    return {
      file: file.stat().st_mtime_ns
      for file in path.rglob('*')
      # This process has other devices.
      if file.name != 'versions.json' and file.is_file()
    }

  before = files()
  status, output, errors = main(path)
  assert (status, errors) == (0, [])
  assert output == f'{path}: finished after round 6; nothing to do.\n'
  assert files() == before


@pytest.fixture
def copied(finished, tmp_path):
  return shutil.copytree(finished[0], tmp_path / 'copied')


def test_changed_config_is_refused_with_the_difference(main, copied):
  before = (copied / 'metrics.jsonl').read_bytes()
  status, _, errors = main(copied, '--config.federated.num_rounds=7')
  assert status == 2
  assert len(errors) == 1
  assert 'federated.num_rounds: 6 -> 7' in errors[0]
  assert (copied / 'metrics.jsonl').read_bytes() == before


def test_allowed_change_goes_on(main, copied):
  before = tiny_run.metrics(copied)
  status, output, _ = main(
    copied, '--config.federated.num_rounds=7', '--allow_config_change'
  )
  assert status == 0
  assert 'from round 6 of 7' in output
  kept = json.loads((copied / 'config.1.json').read_text())
  now = json.loads((copied / 'config.json').read_text())
  assert kept['federated']['num_rounds'] == 6
  assert now['federated']['num_rounds'] == 7
  after = tiny_run.metrics(copied)
  assert after[:6] == before
  # The last round is evaluated and saved, due or not.
  assert after[6]['round'] == 7
  assert 'eval/wer' in after[6]
  assert '7' in tiny_run.checkpoints(copied)


def _content(path):
  return {
    file: file.read_bytes()
    for file in path.iterdir()
    if file.is_file() and file.name != '.lock'
  }


@pytest.mark.parametrize(
  'flag', ['--config.features.hop_ms=20', '--config.federated.num_rounds=4']
)
def test_finished_run_is_left_as_it_is(main, copied, flag):
  before = _content(copied)
  status, _, errors = main(copied, flag, '--allow_config_change')
  assert status == 2
  (error,) = errors
  assert 'is finished after round 6' in error
  assert 'left as it is, without the changed config (' in error
  assert flag.removeprefix('--config.').partition('=')[0] in error
  assert _content(copied) == before


def test_checkpoint_of_another_model_names_the_leaf(main, copied):
  before = _content(copied)
  flags = ['--config.federated.num_rounds=7', '--allow_config_change']
  status, _, errors = main(
    copied, '--config.model.ds2.recurrent_size=16', *flags
  )
  assert status == 2
  assert len(errors) == 1
  assert re.search(
    r'params\.\S+ is float32\[[\d, ]*8[\d, ]*\] there; want float32\[',
    errors[0],
  )
  assert _content(copied) == before
  assert '6' in tiny_run.checkpoints(copied)


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


def test_training_that_diverges_ends_at_that_round(main, tmp_path):
  flags = (
    '--config.checkpoint.every_rounds=1',
    '--config.evaluation.every_rounds=1',
  )
  fast = '--config.federated.server.learning_rate=1e37'
  status, _, errors = main(tmp_path, fast, *flags)
  assert status == 1
  (error,) = errors
  found = re.search(r'round (\d) diverged: the loss is not finite', error)
  assert found
  last = int(found[1]) - 1
  assert re.search(r'losses or gradients that are not: of client s\d', error)
  assert f'round {last} is the last that was saved' in error
  assert max(map(int, tiny_run.checkpoints(tmp_path))) == last
  lines = tiny_run.metrics(tmp_path)
  assert lines[-1]['round'] == last + 1
  assert lines[-1]['train/loss'] is None


def test_run_whose_loss_ends_high_says_so_in_the_end(main, tmp_path):
  fast = '--config.federated.server.learning_rate=1e4'
  status, output, _ = main(tmp_path, fast)
  assert status == 0
  assert re.search(
    r'finished: .*; warning: the loss ended at \d\.\d\de\+\d\d, over 10 times',
    output,
  )


def test_overflow_of_the_server_is_a_divergence(main, tmp_path):
  fast = '--config.federated.client.learning_rate=1e30'
  status, _, errors = main(tmp_path, fast)
  assert status == 1
  assert 'round 1 diverged: the model is not finite' in errors[0]
  assert "no client's, but the server's step overflowed" in errors[0]
  assert 'no round was saved' in errors[0]
  assert tiny_run.checkpoints(tmp_path) == {}


@pytest.fixture
def stopped(copied):
  """A run with two rounds to go."""
  shutil.rmtree(copied / 'checkpoints' / '6')
  return copied


@pytest.fixture
def moved(folder, tmp_path):
  """The corpus in another folder, which need not have the same content."""
  path = tmp_path / 'moved'
  path.mkdir()
  for file in folder.glob('*.npy'):
    (path / file.name).symlink_to(file)
  shutil.copy(folder / 'manifest.jsonl', path)
  return path / 'manifest.jsonl'


def test_corpus_may_move(main, finished, stopped, moved, monkeypatch):
  monkeypatch.chdir(moved.parent)
  status, _, errors = main(stopped, '--config.data.path=manifest.jsonl')
  assert (status, errors) == (0, [])
  tiny_run.assert_same_outcome(stopped, finished[0])
  places = json.loads((stopped / 'corpus.json').read_text())['places']
  assert places['path'] == str(moved)
  saved = json.loads((stopped / 'config.json').read_text())
  assert saved['data']['path'] == 'manifest.jsonl'


def test_changed_corpus_is_refused_with_the_difference(main, stopped, moved):
  before = _content(stopped)
  lines = moved.read_text().splitlines(keepends=True)
  kept = [line for line in lines if '"s0"' not in line]
  moved.write_text(''.join(kept))
  status, _, errors = main(stopped, f'--config.data.path={moved}')
  assert (status, len(errors)) == (2, 1)
  assert 'its corpus has changed: 4 utterance(s) vanished, such as' in errors[0]
  assert '--allow_config_change to go on with this one' in errors[0]
  assert _content(stopped) == before


def test_changed_corpus_may_be_gone_on_with(main, stopped, moved):
  before = (stopped / 'corpus.json').read_bytes()
  lines = moved.read_text().replace('"s0"', '"other"')
  moved.write_text(lines)
  flags = f'--config.data.path={moved}', '--allow_config_change'
  status, output, errors = main(stopped, *flags)
  assert (status, errors) == (0, [])
  assert 'warning: going on with another corpus: ' in output
  assert (stopped / 'corpus.1.json').read_bytes() == before
  # The rounds before still have theirs.
  assert json.loads((stopped / 'history.json').read_text()) == [4]


def test_run_without_a_record_of_its_corpus_goes_on(main, finished, stopped):
  """As earlier versions left it."""
  (stopped / 'corpus.json').unlink()
  status, output, errors = main(stopped)
  assert (status, errors) == (0, [])
  assert 'corpus.json is missing, as in runs of earlier versions' in output
  tiny_run.assert_same_outcome(stopped, finished[0])
  record = (stopped / 'corpus.json').read_bytes()
  assert record == (finished[0] / 'corpus.json').read_bytes()


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


def test_run_without_held_out_sets_trains(main, folder, tmp_path):
  status, _, errors = main(
    tmp_path,
    '--config.data.num_heldout_speakers=0',
    '--config.data.heldout_utterance_fraction=0.0',
    '--config.federated.num_rounds=3',
  )
  assert (status, errors) == (0, [])
  lines = tiny_run.metrics(tmp_path)
  assert not any(name.startswith('eval/') for line in lines for name in line)
  assert tiny_run.checkpoints(tmp_path).keys() == {'2', '3'}
  assert (tmp_path / 'figures' / 'training_progress.png').exists()
  # And its statistics are those of all there is.
  saved = json.loads((tmp_path / 'feature_statistics.json').read_text())
  frames = np.concatenate([np.load(file) for file in folder.glob('*.npy')])
  assert saved.keys() == {'mean', 'std'}
  np.testing.assert_allclose(saved['mean'], frames.mean(0), rtol=1e-5)
  np.testing.assert_allclose(saved['std'], frames.std(0), rtol=1e-5)
