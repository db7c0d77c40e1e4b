"""A finished run, trained on each speaker by itself."""

import json
import pathlib

import numpy as np
import pytest
import tiny_run

from fedjax_asr.decoding import scores
from fedjax_asr.federated import fine_tuning
from fedjax_asr.jobs import personalisation_report

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'personalise.py'


@pytest.fixture
def personalise(cached, finished, tmp_path, capsys):
  """`personalise(*flags)`: status, output, lines of errors, the report."""
  from fedjax_asr import main

  def run(*flags, of=finished[0]):
    capsys.readouterr()
    workdir = tmp_path / 'personalisation'
    status = main.main(
      [
        'fedjax_asr',
        f'--config={_CONFIG}',
        f'--config.personalise.run={of}',
        f'--workdir={workdir}',
        *flags,
      ]
    )
    output, errors = capsys.readouterr()
    file = workdir / 'personalisation.json'
    report = json.loads(file.read_text()) if status == 0 else None
    return status, output, errors.splitlines(), report

  return run


def _said(reference, hypothesis):
  return [scores.Transcript('u', 's', reference, hypothesis)]


_SPLIT = fine_tuning.Split(np.array([0, 1]), np.array([2]))


def _heard(before, after, personal=None, has_diverged=False):
  return personalisation_report.Heard(
    split=_SPLIT,
    before=before,
    after=after,
    personal=personal,
    has_diverged=has_diverged,
  )


def test_gains_are_of_speakers_and_rates_of_words():
  report = personalisation_report.measured(
    {
      # 2 of 4 words wrong, then 1; 0 with its own model.
      'a': _heard(
        _said('a b c d', 'a b x x'),
        _said('a b c d', 'a b c x'),
        _said('a b c d', 'a b c d'),
      ),
      # 0 of 1, then 1.
      'b': _heard(_said('e', 'e'), _said('e', 'x'), has_diverged=True),
      'c': _heard(_said('f', 'x'), _said('f', 'x')),
    },
    4,
  )
  assert report['before']['wer'] == pytest.approx(3 / 6)
  assert report['after']['wer'] == pytest.approx(3 / 6)
  assert report['after']['mean_gain'] == pytest.approx((0.25 - 1 + 0) / 3)
  assert (report['after']['num_better'], report['after']['num_worse']) == (1, 1)
  assert report['num_diverged'] == 1
  assert report['personal'] == {
    'num_speakers': 1,
    'before': {'wer': 0.5, 'cer': pytest.approx(2 / 7)},
    'wer': 0.0,
    'cer': 0.0,
    'mean_gain': 0.5,
    'num_better': 1,
    'num_worse': 0,
  }
  assert report['speakers']['a'] == {
    'num_trained': 2,
    'num_evaluated': 1,
    'before': 0.5,
    'after': 0.25,
    'personal': 0.0,
    'has_diverged': False,
  }
  assert report['speakers']['b']['personal'] is None
  first, left_out, warning, last = personalisation_report.lines(report)
  assert first == (
    'WER 50.0% before, 50.0% after training on each of 3 speakers; mean gain '
    '-25.0 points, 1 better, 1 worse'
  )
  assert left_out == 'left out: 4 speakers of a single utterance'
  assert 'training diverged for 1 of them' in warning
  assert 'what each of 1 clients keeps; mean gain 50.0 points' in last


def test_speakers_that_were_held_out_are_trained_on(personalise, finished):
  flags = ['--config.personalise.num_steps=30', '--config.seed=3']
  status, output, errors, report = personalise(*flags)
  assert (status, errors) == (0, [])
  assert 'round 6 of' in output
  assert (report['num_speakers'], report['num_left_out']) == (1, 0)
  (speaker,) = report['speakers'].values()
  assert (speaker['num_trained'], speaker['num_evaluated']) == (2, 2)
  assert report['personal'] is speaker['personal'] is None
  assert report['before']['wer'] == speaker['before']
  assert report['before'] != {
    name: report['after'][name] for name in ('wer', 'cer')
  }
  assert personalise(*flags)[3] == report


def test_clients_that_keep_a_model_are_measured_with_it(
  personalise, remembered
):
  status, output, errors, report = personalise(
    '--config.personalise.subset=train',
    '--config.personalise.num_steps=1',
    of=remembered,
  )
  assert (status, errors) == (0, [])
  # Of those that were drawn.
  own = [
    each for each in report['speakers'].values() if each['personal'] is not None
  ]
  assert len(own) >= 2
  assert f'what each of {len(own)} clients keeps' in output
  assert report['personal']['num_speakers'] == len(own)


def test_missing_run_is_one_line(personalise, tmp_path):
  status, output, errors, _ = personalise(of=tmp_path / 'absent')
  assert (status, output) == (2, '')
  assert errors == [
    f"error: config.personalise.run='{tmp_path / 'absent'}' has no "
    'config.json; want the directory of a run.'
  ]


def test_speakers_of_one_utterance_are_one_line(personalise, folder, tmp_path):
  lines = (folder / 'manifest.jsonl').read_text().splitlines()
  manifest = folder / 'singles.jsonl'
  tiny_run.write_manifest(manifest, [json.loads(line) for line in lines[::4]])
  status, _, errors, _ = personalise(
    '--config.personalise.subset=corpus',
    '--config.data.corpus=manifest',
    f'--config.data.path={manifest}',
    f'--config.data.cache_dir={folder / "cache"}',
  )
  assert status == 2
  assert errors == [
    "error: config.personalise.subset='corpus': none of its 5 speakers has two "
    'utterances; want another subset.'
  ]
