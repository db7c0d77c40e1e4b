"""Word errors inside a jitted function, against jiwer's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.decoding import scores, word_errors
from fedjax_asr.speech import alphabets, spelling, units

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


def _counted_in(alphabet, said, heard, rng):
  labels, symbols = alphabet.encode(said), alphabet.encode(heard)
  path = np.full(NUM_FRAMES, alphabets.BLANK)
  places = np.sort(rng.choice(NUM_FRAMES, len(symbols), replace=False))
  path[places] = symbols
  padded = np.full(NUM_LABELS, 2)
  padded[: len(labels)] = labels
  found = jax.jit(
    functools.partial(word_errors.word_errors, alphabet=alphabet)
  )(jnp.array(path), jnp.array(padded), jnp.array(len(labels)))
  return tuple(map(int, found))


def test_without_a_space_each_character_is_a_word():
  alphabet, _ = alphabets.of_texts(['一二三四'], spelling.Rules())
  rng = np.random.default_rng(2)
  assert _counted_in(alphabet, '一二三', '一三', rng) == (1, 3)
  for _ in range(20):
    said, heard = (
      ''.join(rng.choice(list('一二三四'), rng.integers(1, 12)))
      for _ in range(2)
    )
    wanted = scores.errors(
      [scores.Transcript('u', 's', said, heard)], has_words=False
    )
    got = _counted_in(alphabet, said, heard, rng)
    assert got == (wanted.words[0], wanted.num_words[0])
    assert wanted.words[0] == wanted.characters[0]


class _Parts(units.Units):
  """A model whose units are letters, `b` with a word's start and `ab`."""

  def __init__(self, rng):
    self._rng = rng
    self.symbols = ['a', 'b', 'ab', '\u2581', '\u2581b', '\u2581a']

  def pieces(self, said):
    """Any way of spelling it, at random."""
    left, pieces = '\u2581' + said.replace(' ', '\u2581'), []
    while left:
      fitting = [each for each in self.symbols if left.startswith(each)]
      pieces.append(fitting[self._rng.integers(len(fitting))])
      left = left.removeprefix(pieces[-1])
    return pieces


def test_words_of_units_are_compared_by_their_letters():
  """However a word is cut into units."""
  rng = np.random.default_rng(3)
  parts = _Parts(rng)
  alphabet = alphabets.Alphabet(
    alphabets.Kind.UNITS, parts.symbols, model=parts
  )
  for _ in range(60):
    said, heard = (
      ' '.join(''.join(rng.choice(list('ab  '), 9)).split()) or 'b'
      for _ in range(2)
    )
    assert alphabet.decode(alphabet.encode(said)) == said
    wanted = scores.errors([scores.Transcript('u', 's', said, heard)])
    got = _counted_in(alphabet, said, heard, rng)
    assert got == (wanted.words[0], wanted.num_words[0]), (said, heard)


def test_a_word_is_the_same_in_bytes_and_in_letters():
  """And bytes that spell nothing are no word that was said."""
  symbols = ['▁', 'ü', 't', '▁t', *(f'<0x{byte:02X}>' for byte in range(256))]
  alphabet = alphabets.Alphabet(alphabets.Kind.UNITS, symbols)
  count = jax.jit(functools.partial(word_errors.word_errors, alphabet=alphabet))
  rng = np.random.default_rng(4)
  parts = ['▁', 'ü', '▁t', '<0xC3>', '<0xBC>', '<0x00>', '<0x20>', 't']
  heard_ones = [' '.join(rng.choice(parts, 6)) for _ in range(60)]
  num_right = 0
  for heard in ['▁t <0xC3> <0xBC> ▁ ü t', '▁t ü ▁ ü t', *heard_ones]:
    said, path = (
      np.array([alphabet.symbols.index(each) for each in row.split()])
      for row in ('▁t ü ▁ <0xC3> <0xBC> t', heard)
    )
    wanted = scores.errors(
      [scores.Transcript('u', 's', *map(alphabet.decode, (said, path)))]
    )
    num_right += not wanted.words[0]
    # Behind the end there may be anything.
    padded = jnp.array([*said, 3, 3])
    path = jnp.pad(path, (0, NUM_FRAMES - len(path)))
    got = count(path, padded, jnp.array(len(said)))
    assert tuple(map(int, got)) == (wanted.words[0], 2), heard
  assert num_right >= 2
