"""What was said beside what was heard."""

import jiwer
import numpy as np
import pytest

from fedjax_asr.decoding import scores
from fedjax_asr.report_pages import blocks, edited_text

SAME, LOST, ADDED = blocks.Mark


def edited(said, heard, has_words=True):
  item = scores.Transcript('u', 's', said, heard)
  (found,) = edited_text.edited([item], has_words)
  return found


def marked(pieces, mark):
  return [piece.text for piece in pieces if piece.mark is mark]


def test_words_that_differ_are_marked_on_their_side():
  found = edited('turn on the blue light', 'turn the blew light now')
  assert marked(found.said, LOST) == ['on', 'blue']
  assert marked(found.heard, ADDED) == ['blew', 'now']
  assert not marked(found.said, ADDED)
  assert found.wer == pytest.approx(3 / 5)


def test_pieces_make_up_the_text_and_errors_are_those_of_jiwer():
  rng = np.random.default_rng(0)
  words = np.array(list('abcde'))
  items = [
    scores.Transcript(
      str(index),
      's',
      ' '.join(rng.choice(words, rng.integers(1, 9))),
      ' '.join(rng.choice(words, rng.integers(0, 9))),
    )
    for index in range(40)
  ]
  for item, found in zip(
    items, edited_text.edited(items, has_words=True), strict=True
  ):
    assert ''.join(piece.text for piece in found.said) == item.reference
    assert ''.join(piece.text for piece in found.heard) == item.hypothesis
    assert found.wer == pytest.approx(
      jiwer.wer(item.reference, item.hypothesis)
    )


def test_nothing_said_has_no_rate():
  found = edited('', 'a sound')
  assert found.wer is None
  assert marked(found.heard, ADDED) == ['a sound']
  assert edited('', '').heard == ()


def test_without_words_characters_differ():
  found = edited('你好吗', '你号吗', has_words=False)
  assert [piece.text for piece in found.said] == ['你', '好', '吗']
  assert found.wer == pytest.approx(1 / 3)
