"""Counts and rates against ones made by hand."""

import numpy as np
import pytest

from fedjax_asr.decoding import scores

# 1 substitution, 2 insertions, 2 deletions, 1 substitution; 11 + 1 words.
SPOKEN = [
  ('ann', 'the cat sat', 'the cat sat'),
  ('ann', 'on the mat', 'on a mat'),
  ('bob', 'go', 'go home now'),
  ('bob', 'stop here', ''),
  ('cid', 'left turn', 'left turn'),
  ('dot', 'the', 'a'),
]


def transcripts(spoken=SPOKEN):
  return [scores.Transcript(f'u{i}', *row) for i, row in enumerate(spoken)]


def test_errors_of_each_utterance_are_counted():
  counts = scores.errors(transcripts())
  assert counts.words.tolist() == [0, 1, 2, 2, 0, 1]
  assert counts.num_words.tolist() == [3, 3, 1, 2, 2, 1]
  # 'the' -> 'a' takes three edits, ' home now' nine.
  assert counts.characters.tolist() == [0, 3, 9, 9, 0, 3]
  assert counts.num_characters.tolist() == [11, 10, 2, 9, 9, 3]


def test_scores_are_sums_over_sums():
  total = scores.score(transcripts())
  assert total == scores.Score(6 / 12, 24 / 44, 12, 6)
  by_speaker = scores.score_speakers(transcripts())
  assert list(by_speaker) == ['ann', 'bob', 'cid', 'dot']
  assert by_speaker['bob'] == scores.Score(4 / 3, 18 / 11, 3, 2)
  assert by_speaker['ann'] == scores.Score(1 / 6, 3 / 21, 6, 2)


def test_scores_are_jiwers():
  import jiwer

  rng = np.random.default_rng(0)
  words = np.array(['go', 'stop', 'left', 'a', 'the'])
  spoken = [
    ('s', ' '.join(rng.choice(words, 5)), ' '.join(rng.choice(words, size)))
    for size in rng.integers(0, 9, 40)
  ]
  _, said, heard = zip(*spoken, strict=True)
  total = scores.score(transcripts(spoken))
  assert total.wer == pytest.approx(jiwer.wer(list(said), list(heard)))
  assert total.cer == pytest.approx(jiwer.cer(list(said), list(heard)))


@pytest.mark.parametrize(('count', 'worst'), [(1, 1), (10, 1), (11, 2)])
def test_worst_decile_is_rounded_up(count, worst):
  by_speaker = {
    f's{index:02}': scores.Score(index / 100, 0.0, 9, 9)
    for index in range(count)
  }
  found = scores.worst_decile(by_speaker)
  names = [f's{index:02}' for index in range(count)][::-1][:worst]
  assert found.speakers == names
  assert found.wer == pytest.approx(
    np.mean([by_speaker[name].wer for name in names])
  )


def test_confusions_are_counted_most_frequent_first():
  words, characters = scores.confusions(transcripts(), 20)
  assert words.substitutions == [('the', 'a', 2)]
  assert words.insertions == [('', 'home', 1), ('', 'now', 1)]
  assert words.deletions == [('here', '', 1), ('stop', '', 1)]
  assert characters.insertions[0] == ('', ' ', 2)
  # 'stop here' whole, and what 'a' leaves of 'the', twice.
  assert sum(item.times for item in characters.deletions) == 9 + 2 * 2
  assert sum(item.times for item in characters.substitutions) == 2


def test_confusions_are_limited_in_number():
  words, _ = scores.confusions(transcripts(), 1)
  assert words.insertions == [('', 'home', 1)]
  assert scores.confusions(transcripts(), 0).words == ([], [], [])


def test_edits_of_a_set_are_counted_by_kind():
  words, characters = scores.edits(
    [
      scores.Transcript('1', 'a', 'go right now', 'go left now please'),
      scores.Transcript('2', 'a', 'stop here', 'stop'),
    ]
  )
  assert words == (1, 1, 1)
  assert sum(characters) == sum(
    scores.errors(
      [
        scores.Transcript('1', 'a', 'go right now', 'go left now please'),
        scores.Transcript('2', 'a', 'stop here', 'stop'),
      ]
    ).characters
  )


def test_pairs_are_word_beside_word():
  *_, item = transcripts([('x', 'go left now', 'so go right')])
  pairs = scores.pairs(item)
  assert [said for said, _ in pairs if said] == ['go', 'left', 'now']
  assert [heard for _, heard in pairs if heard] == ['so', 'go', 'right']
  assert ('go', 'go') in pairs
  assert sum(said != heard for said, heard in pairs) == 3
  (item,) = transcripts([('x', 'ab', 'b')])
  assert scores.pairs(item, has_words=False) == [('a', ''), ('b', 'b')]
