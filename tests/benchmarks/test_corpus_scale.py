"""The corpus that stands for LibriSpeech's size, and what is done to it."""

import json

import corpus_scale
import pytest


@pytest.mark.slow
def test_every_stage_says_what_it_took(tmp_path):
  result = tmp_path / 'result.json'
  flags = ['--utterances=300', '--workers=1', f'--folder={tmp_path}']
  assert corpus_scale.main(['corpus_scale.py', str(result), *flags]) == 0
  record = json.loads(result.read_text())
  stages = {row['stage']: row for row in record['stages']}
  assert list(stages) == ['tree', *corpus_scale.Stages.NAMES]
  # As many are evaluated, where there are fewer than dev-clean has.
  assert stages['listing']['num_utterances'] == 600
  assert stages['prepare']['train'] == stages['prepare']['heldout'] == 300
  assert stages['prepare']['num_problems'] == 0
  assert stages['by_speaker']['clients'] == 3
  assert stages['build']['was_built']
  assert not stages['open']['was_built']
  for row in stages.values():
    assert row['seconds'] >= 0
    assert row['peak_gb'] >= row['resident_gb'] > 0.01


def test_words_are_others_for_other_numbers():
  words = [corpus_scale._word(index) for index in range(60_000)]
  assert len(set(words)) == 60_000
  assert all(word.isalpha() and word.isupper() for word in words)


def test_a_flag_that_nothing_reads_is_refused():
  with pytest.raises(SystemExit, match='utterances'):
    corpus_scale.options(['--utterance=3'])
