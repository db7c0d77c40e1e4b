"""Word errors inside a jitted function, against jiwer's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.decoding import scores, word_errors
from fedjax_asr.speech import alphabets

NUM_LABELS, NUM_FRAMES = 24, 40
count = jax.jit(
  functools.partial(word_errors.word_errors, alphabet=alphabets.ENGLISH)
)


def counted(said, heard, rng):
  """Of a path with blanks anywhere."""
  labels = alphabets.ENGLISH.encode(said)
  symbols = [alphabets.ENGLISH.symbols.index(character) for character in heard]
  path = np.full(NUM_FRAMES, alphabets.BLANK)
  places = np.sort(rng.choice(NUM_FRAMES, len(symbols), replace=False))
  path[places] = symbols
  padded = np.full(NUM_LABELS, 7)
  padded[: len(labels)] = labels
  return count(jnp.array(path), jnp.array(padded), jnp.array(len(labels)))


@pytest.mark.parametrize(
  ('said', 'heard', 'errors', 'words'),
  [
    ('one two', 'one two', 0, 2),
    ('one two', '', 2, 2),
    ('one two', '  one   two ', 0, 2),
    ('one two', 'onetwo', 2, 2),
    ('one', 'a b one c', 3, 1),
    ('a b c', 'b c a', 2, 3),
    ("don't stop", 'dont stop', 1, 2),
    ('ab', 'ba', 1, 1),
  ],
)
def test_edits_known_by_hand(said, heard, errors, words):
  got = counted(said, heard, np.random.default_rng(0))
  assert tuple(map(int, got)) == (errors, words)


def test_random_sentences_have_jiwers_errors():
  rng = np.random.default_rng(1)
  for _ in range(200):
    # Few letters, so that many words are equal.
    said, heard = (
      ''.join(rng.choice(list('ab  '), rng.integers(low, NUM_LABELS)))
      for low in (1, 0)
    )
    said = ' '.join(said.split()) or 'a'
    got = counted(said, heard, rng)
    wanted = scores.errors(
      [scores.Transcript('u', 's', said, ' '.join(heard.split()))]
    )
    assert int(got[0]) == wanted.words[0], (said, heard)
    assert int(got[1]) == wanted.num_words[0], (said, heard)
