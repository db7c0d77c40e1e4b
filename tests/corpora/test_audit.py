"""What is left out before training, and why."""

import json
import os

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import audit, problem, utterance
from fedjax_asr.speech import alphabets, transcript


def item(text, name='u'):
  source = utterance.AudioFile(f'{name}.wav')
  return utterance.Utterance(name, 'anna', text, 0.0, source)


def audited(text, num_frames=1000, failures=None, **data):
  return audit.audit(
    [item(text)],
    [transcript.spelled(text, config.DataConfig(**data), alphabets.ENGLISH)],
    np.array([num_frames]),
    failures or {},
    num_output_frames=lambda frames: -(-frames // 2),
    alphabet=alphabets.ENGLISH,
  )


def kinds(result):
  return [each.kind for each in result.problems]


def test_a_good_utterance_is_kept_without_a_word():
  assert audited("it's a good one") == audit.Audit([0], [])


@pytest.mark.parametrize(
  ('text', 'kind'),
  [
    ('', 'empty_transcript'),
    ('  \n', 'empty_transcript'),
    ('?!', 'empty_transcript'),
    ('Привет мир', 'other_alphabet'),
    ('你好吗 ok', 'other_alphabet'),
    ('25', 'unspelled'),
    ('Turn it to 25', 'unspelled'),
    ('it is 5\u00b0', 'unspelled'),
    ('rock & roll', 'unspelled'),
    ('a caf\u00e9 in K\u00f8benhavn', 'unspelled'),
    ('[noise] go left', 'unknown_tag'),
    ('<unk>', 'unknown_tag'),
  ],
)
def test_a_transcript_without_usable_text_is_left_out(text, kind):
  result = audited(text)
  assert result.kept == []
  assert kinds(result) == [kind]


def test_a_reason_names_what_is_lost_and_the_field_that_helps():
  (found,) = audited('To 25, 55% & 2').problems
  assert "has '25', '55%', '&', '2', not" in found.reason
  assert 'config.data.numbers=spell' in found.reason
  (found,) = audited('a+b').problems
  assert 'config.data' not in found.reason
  (found,) = audited('[Noise] 5 <unk> [Noise]').problems
  assert "'[Noise]', '<unk>'; want" in found.reason
  assert 'config.data.drop_tags' in found.reason


def test_a_dropped_tag_and_a_spelled_number_are_no_problem():
  pytest.importorskip('num2words')
  result = audited(
    '[noise] to 25', numbers=config.Numbers.SPELL, drop_tags=('[noise]',)
  )
  assert result == audit.Audit([0], [])


def test_a_lost_digit_is_fatal_where_bad_utterances_are():
  with pytest.raises(utterance.CorpusError, match=r'1 bad .*numbers=spell'):
    audit.settle(audited('go to 25').problems, config.OnBadUtterance.ERROR)


def test_dropped_characters_are_a_warning_that_names_them_once():
  result = audited('Turn it, please, now.')
  assert result.kept == [0]
  assert kinds(result) == ['dropped_characters']
  assert "',.'" in result.problems[0].reason
  assert result.problems[0].is_warning


@pytest.mark.parametrize(
  # CTC needs a blank between equal neighbours: 'aab' takes 4 frames.
  ('num_frames', 'kept'),
  [(7, [0]), (6, []), (0, [])],
)
def test_an_utterance_is_too_short_below_its_ctc_minimum(num_frames, kept):
  result = audited('aab', num_frames)
  assert result.kept == kept
  assert kinds(result) == ([] if kept else ['too_short'])


def test_too_short_outranks_a_warning():
  result = audited('aab!', num_frames=2)
  assert result.kept == []
  assert kinds(result) == ['too_short']


def test_a_failure_of_the_store_is_the_only_problem():
  failure = problem.Problem('u', 'u.wav', 'unreadable', 'u.wav: truncated.')
  result = audited('Привет', 0, {'u': failure})
  assert result == audit.Audit([], [failure])


def test_settle_raises_only_for_error_and_counts_no_warnings():
  bad, warned = audited('').problems, audited('a!').problems
  audit.settle(bad, config.OnBadUtterance.SKIP)
  audit.settle(warned, config.OnBadUtterance.ERROR)
  with pytest.raises(utterance.CorpusError, match=r'^1 bad .*first: u: the tr'):
    audit.settle([*warned, *bad], config.OnBadUtterance.ERROR)


def test_write_gives_one_json_object_a_line(tmp_path):
  problems = audited('Привет').problems * 2
  audit.write(problems, tmp_path / 'problems.jsonl')
  lines = (tmp_path / 'problems.jsonl').read_text('utf-8').splitlines()
  assert [json.loads(line)['kind'] for line in lines] == ['other_alphabet'] * 2
  assert json.loads(lines[0]) == problems[0]._asdict()


def test_names_that_are_not_utf_8_are_written_as_they_are_read(tmp_path):
  name = os.fsdecode(b'caf\xe9 \xc3\xa9.wav')
  found = problem.Problem(name, f'a/{name}', 'unreadable', f'a/{name}: no.')
  audit.write([found], tmp_path / 'skipped.jsonl')
  content = (tmp_path / 'skipped.jsonl').read_text(encoding='utf-8')
  assert json.loads(content) == found._asdict()
  assert 'é.wav' in content


def test_sample_rates_that_differ_are_counted_in_a_warning():
  rates = np.array([8000, 16000, 0, 16000])
  found = audit.rate_problem(rates, 16000, 'here')
  assert found.is_warning
  assert (found.kind, found.source) == ('sample_rates', 'here')
  assert found.reason == (
    'utterances of several sample rates, 2 at 16000 Hz, 1 at 8000 Hz; all are '
    'resampled to 16000 Hz.'
  )
  assert audit.rate_problem(np.array([8000, 0, 8000]), 16000, 'here') is None
  assert audit.rate_problem(np.zeros(0, int), 16000, 'here') is None
