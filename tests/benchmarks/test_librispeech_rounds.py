"""Random features of LibriSpeech's lengths, through the job's rounds."""

import json
import subprocess
import sys

import librispeech_rounds
import numpy as np
import pytest

from fedjax_asr import command_line


def test_lengths_have_the_mean_of_the_corpus_and_the_longest():
  lengths = librispeech_rounds.seconds(28_539, 35.0)
  assert lengths[0] == lengths.max() == 35.0
  assert lengths.mean() == pytest.approx(12.3, abs=0.1)
  assert lengths.min() > 1.5


@pytest.mark.parametrize(
  ('variant', 'num_utterances', 'num_speakers'),
  [('federated_100', 1137, 10), ('published', 1202, 10)],
)
def test_speakers_have_as_much_as_in_the_folders(
  variant, num_utterances, num_speakers
):
  cfg = command_line.parse(['', f'--config=ds2_librispeech:{variant}']).config
  utterances, num_frames = librispeech_rounds.spoken(cfg, num_speakers, '18')
  assert len(utterances) == len(num_frames) == num_utterances
  assert len({item.speaker for item in utterances}) == num_speakers
  assert num_frames.max() == 1800
  letters = sum(len(item.text) for item in utterances)
  assert letters / num_frames.sum() * 100 == pytest.approx(14, abs=0.3)


def _rows(result, *flags):
  """By a process of its own: its feature store is another class than ours."""
  command = [sys.executable, librispeech_rounds.__file__, str(result)]
  flags = ('--config=ds2_librispeech', '--blocks=1', *flags)
  subprocess.run([*command, *flags], check=True)
  return json.loads(result.read_text())['rows']


def test_without_rounds_a_row_has_the_bytes_of_a_cohort(tmp_path):
  rows = _rows(
    tmp_path / 'result.json',
    '--variants=published',
    '--cohorts=1,3',
    '--rounds=0',
    '--speakers=3',
    '--config.federated.num_devices=1',
  )
  for row, cohort_size in zip(rows, (1, 3), strict=True):
    most = row['layout']['num_utterances']
    assert 114 <= most <= 122
    # An utterance once, of 35 s rounded up and 80 features, for ten epochs;
    # labels and indices are few.
    gigabytes = cohort_size * most * 3504 * 80 * 4 / 1e9
    assert row['cohort_gb'] == pytest.approx(gigabytes, abs=0.01)
    assert 'losses' not in row


@pytest.mark.slow
def test_a_row_is_written_for_each_variant_and_cohort(tmp_path):
  rows = _rows(
    tmp_path / 'result.json',
    '--variants=federated_100',
    '--cohorts=1,2',
    '--rounds=1',
    '--speakers=2',
    '--longest=18',
    '--config.federated.num_frame_buckets=1',
    '--config.model.ds2.recurrent_size=8',
    '--config.model.ds2.num_recurrent_layers=1',
    '--config.model.ds2.conv_channels=(2,2)',
  )
  assert [row['cohort'] for row in rows] == [1, 2]
  for row in rows:
    (seconds,) = row['round_seconds']
    assert row['hours'] == pytest.approx(3000 * seconds / 3600, abs=0.01)
    assert row['num_rounds'] == 3000
    assert np.isfinite(row['losses']).all()
