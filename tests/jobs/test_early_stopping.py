"""Training that stops where evaluations get no better."""

import shutil

import pytest
import tiny_run

from fedjax_asr.jobs import early_stopping, heldout

STOPS = '--config.evaluation.patience=1'
WERS = {2: 0.5, 4: 0.5, 6: 0.4}


def _stops_at(patience, wers):
  """The number of evaluations, None for all of them."""
  found = early_stopping.Patience(patience, [])
  for number, wer in enumerate(wers, start=1):
    found.add(wer)
    if found.is_over:
      return number
  return None


def test_so_many_evaluations_without_a_lower_one_are_the_end():
  wers = [0.9, 0.7, 0.8, 0.7, 0.6, 0.6, 0.9, 0.61]
  assert _stops_at(1, wers) == 3
  assert _stops_at(2, wers) == 4
  assert _stops_at(3, wers) == 8
  assert _stops_at(4, wers) is None
  assert _stops_at(0, wers) is None


def test_rounds_without_an_evaluation_do_not_count():
  assert _stops_at(1, [0.9, None, None, 0.8, None, 0.8]) == 6


@pytest.fixture
def scored(monkeypatch):
  """The held-out WERs are these."""
  evaluate = heldout.HeldOut.evaluate

  def faked(self, state, *shown):
    record = evaluate(self, state, *shown)
    return record | {'eval/wer': WERS[int(state.round)]}

  monkeypatch.setattr(heldout.HeldOut, 'evaluate', faked)


def _without_wer(lines):
  return [
    {name: line[name] for name in line if name != 'eval/wer'} for line in lines
  ]


def test_a_run_that_stops_early_is_finished(main, finished, scored, tmp_path):
  status, output, errors = main(tmp_path, STOPS)
  assert (status, errors) == (0, [])
  why = 'config.evaluation.patience=1: no WER under 50.0% in so many'
  assert f'stopped: {why} evaluations' in output
  lines = _without_wer(tiny_run.metrics(tmp_path))
  assert lines == _without_wer(tiny_run.metrics(finished[0])[:4])
  saved = tiny_run.checkpoints(tmp_path)
  assert saved.keys() == {'2', '4'}
  assert (tmp_path / 'figures' / 'training_progress.png').exists()
  assert (
    f'{tmp_path}: finished after round 4 ({why}' in main(tmp_path, STOPS)[1]
  )
  # One that was killed before its last checkpoint stops there again.
  shutil.rmtree(tmp_path / 'checkpoints' / '4')
  assert main(tmp_path, STOPS)[0] == 0
  assert _without_wer(tiny_run.metrics(tmp_path)) == lines
  assert tiny_run.checkpoints(tmp_path).keys() == {'2', '4'}
  # And it goes on where it is told to.
  status, *_ = main(
    tmp_path, '--config.evaluation.patience=2', '--allow_config_change'
  )
  assert status == 0
  assert tiny_run.metrics(tmp_path)[-1]['round'] == 6


def test_patience_without_held_out_speech_is_refused(main, tmp_path):
  status, _, errors = main(
    tmp_path,
    STOPS,
    '--config.data.num_heldout_speakers=0',
    '--config.data.heldout_utterance_fraction=0',
  )
  assert status == 2
  assert errors == [
    'error: config.evaluation.patience=1; want 0: nothing is held out.'
  ]
