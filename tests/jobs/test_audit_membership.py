"""The parts of an audit that train again, on a finished run."""

import json
import pathlib

import numpy as np
import pytest

from fedjax_asr import config

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'audit.py'
_FEW = (
  '--config.audit.membership.num_shadows=4',
  '--config.audit.membership.num_speaker_shadows=4',
  '--config.audit.membership.num_rounds=2',
  '--config.audit.membership.num_perturbations=2',
  '--config.audit.membership.num_observed=2',
  '--config.audit.exposure.num_sentences=1',
  '--config.audit.exposure.repeats=(1,3)',
  '--config.audit.exposure.num_rounds=2',
  '--config.audit.exposure.num_symbols=4',
  '--config.audit.exposure.num_candidates=63',
)


@pytest.fixture
def audit(cached, finished, tmp_path, capsys):
  """`audit(*flags)`: status, lines of errors, what `audit.json` has."""
  from fedjax_asr import main

  def run(*flags):
    capsys.readouterr()
    workdir = tmp_path / 'audit'
    arguments = [
      'fedjax_asr',
      f'--config={_CONFIG}',
      f'--config.audit.run={finished[0]}',
      f'--workdir={workdir}',
      *_FEW,
      *flags,
    ]
    status = main.main(arguments)
    errors = capsys.readouterr().err.splitlines()
    file = workdir / 'audit.json'
    return status, errors, json.loads(file.read_text()) if not status else None

  return run


def test_both_parts_leave_what_figures_need(audit, tmp_path):
  status, errors, found = audit(
    "--config.audit.parts=('membership','exposure')"
  )
  assert not status, errors
  membership = found['membership']
  assert membership['shadows_missing'] is None
  scores = membership['utterances']['scores']
  assert set(scores) == {
    'loss',
    'loss_per_label',
    'perturbed_loss',
    'lira',
    'rmia',
  }
  for score in scores.values():
    low, high = score['auc_interval']
    assert low <= score['auc'] <= high
    area = np.trapezoid(score['roc']['tpr'], score['roc']['fpr'])
    assert score['auc'] == pytest.approx(area)
  # One speaker is held out, and none is no curve.
  assert membership['speakers'] == {
    'missing': '1 speakers are non-members; want 2 or more'
  }
  assert 'auc' in membership['updates']['scores']['others']
  sentences = found['exposure']['sentences']
  assert [each['repeats'] for each in sentences] == [1, 3]
  for each in sentences:
    assert len(each['planted']) == 4
    bits = [each['exposure'][name]['bits'] for name in ('planted', 'without')]
    assert all(0 <= value <= 6 for value in bits)
  assert any(each['times_trained'] for each in sentences)
  drawn = {each.name for each in (tmp_path / 'audit' / 'figures').iterdir()}
  assert drawn == {'membership.png', 'exposure.png'}


@pytest.mark.parametrize(
  ('flag', 'line'),
  [
    ('membership.num_shadows=2', 'num_shadows=2; want 0, or 4 or more'),
    (
      'membership.num_rounds=7',
      'membership.num_rounds=7; want at most the 6 of',
    ),
    ('exposure.num_symbols=60', 'num_symbols=60 output frames'),
    ('exposure.num_candidates=3', 'num_candidates=3; want'),
  ],
)
def test_what_cannot_be_audited_is_one_line(audit, flag, line):
  part = flag.split('.')[0]
  status, errors, _ = audit(
    f'--config.audit.{flag}', f"--config.audit.parts=('{part}',)"
  )
  assert status == config.UserError.exit_status
  assert len(errors) == 1
  assert line in errors[0]
