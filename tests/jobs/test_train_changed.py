"""A run that goes on with another config or corpus, or is not let to."""

import json
import re
import shutil

import pytest
import tiny_run


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
