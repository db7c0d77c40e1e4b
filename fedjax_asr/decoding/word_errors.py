"""Word errors counted where the model runs, so that nothing is fetched.

The counts of `scores`, which are jiwer's, inside a jitted function.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from fedjax_asr.speech import alphabets, units

# Words are compared by two polynomials of their letters, modulo 2 ** 32: of
# two words that differ, both agree for one pair in 2 ** 64.
_BASES = (0x9E3779B1, 0x85EBCA6B)


class _Word(NamedTuple):
  """The word that is being read: its sums, and the next letter's powers."""

  sums: UInt32[Array, ' bases']
  powers: UInt32[Array, ' bases']


class _Symbols(NamedTuple):
  """By label: what a symbol adds to the word that is being read.

  sums, powers: of its letters, as of a word; 0 and 1 of the blank and the
    space.
  num_letters: that it has.
  starts: whether a word begins with it, whatever was before.
  """

  sums: UInt32[np.ndarray, 'vocab bases']
  powers: UInt32[np.ndarray, 'vocab bases']
  num_letters: Int[np.ndarray, ' vocab']
  starts: Bool[np.ndarray, ' vocab']


def word_errors(
  path: Int[Array, ' frames'],
  labels: Int[Array, ' labels'],
  num_labels: Int[Array, ''],
  alphabet: alphabets.Alphabet,
) -> tuple[Int[Array, ''], Int[Array, '']]:
  """(fewest substitutions, deletions and insertions; words that were said).

  Of one utterance: `path` as `greedy.path` gives it, blanks to be left out;
  `labels` are those that were said. Words are parted by any number of spaces;
  in an alphabet without words every symbol is one.
  """
  symbols = _symbols(alphabet)
  said, num_words = _said(labels, num_labels, symbols)
  is_space = jnp.array(symbols.num_letters == 0).at[alphabets.BLANK].set(False)
  starts = jnp.array(symbols.starts)

  def ended(word, distances):
    is_word = (word.sums != 0).any()
    heard = _heard(distances, said, word.sums)
    return jnp.where(is_word, heard, distances)

  def read(state, symbol):
    word, distances = state
    is_end = is_space[symbol] | starts[symbol]
    distances = jnp.where(is_end, ended(word, distances), distances)
    word = jax.tree.map(
      lambda empty, longer: jnp.where(is_end, empty, longer), _no_word(), word
    )
    return (_longer(word, symbol, symbols), distances), None

  # distances[j]: between what was heard so far and the first j words said.
  begin = _no_word(), jnp.arange(len(said) + 1)
  (word, distances), _ = jax.lax.scan(read, begin, path)
  return ended(word, distances)[num_words], num_words


@functools.lru_cache(maxsize=8)
def _symbols(alphabet: alphabets.Alphabet) -> _Symbols:
  """A symbol of one character is a letter; of units, each of their bytes."""
  letters = [[label] for label in range(alphabet.size)]
  if alphabet.word_start:
    # From 1: a letter of 0 would be none.
    letters = [
      [1 + byte for byte in units.content(symbol)]
      for symbol in alphabet.symbols
    ]
  for silent in (alphabets.BLANK, alphabet.space):
    if silent is not None:
      letters[silent] = []
  starts = alphabet.starts_word
  if not alphabet.has_words:
    starts = np.arange(alphabet.size) != alphabets.BLANK
  words = [[_hashed(each, base) for base in _BASES] for each in letters]
  table = np.array(words, np.uint32)
  return _Symbols(
    sums=table[..., 0],
    powers=table[..., 1],
    num_letters=np.array([len(each) for each in letters]),
    starts=starts,
  )


def _hashed(letters: list[int], base: int) -> tuple[int, int]:
  """The sum of a symbol, and the power that comes next."""
  total, power = 0, 1
  for letter in letters:
    total, power = total + letter * power, power * base
  return total % 2**32, power % 2**32


def _no_word() -> _Word:
  return _Word(jnp.zeros(2, jnp.uint32), jnp.ones(2, jnp.uint32))


def _longer(word: _Word, symbol: Int[Array, ''], symbols: _Symbols) -> _Word:
  """With a symbol more."""
  return _Word(
    word.sums + jnp.array(symbols.sums)[symbol] * word.powers,
    word.powers * jnp.array(symbols.powers)[symbol],
  )


def _heard(
  distances: Int[Array, ' prefixes'],
  said: UInt32[Array, 'words bases'],
  word: UInt32[Array, ' bases'],
) -> Int[Array, ' prefixes']:
  """A row of Levenshtein's table: after one more word was heard."""
  differs = (said != word).any(-1)
  inserted = distances + 1
  replaced = jnp.minimum(inserted[1:], distances[:-1] + differs)
  best = jnp.append(inserted[:1], replaced)
  # Words said and not heard: each costs one more than the prefix before it.
  places = jnp.arange(len(best))
  return jax.lax.cummin(best - places) + places


def _said(
  labels: Int[Array, ' labels'], num_labels: Int[Array, ''], symbols: _Symbols
) -> tuple[UInt32[Array, 'words bases'], Int[Array, '']]:
  """The words of a transcript, and how many they are."""
  places = jnp.arange(len(labels))
  lengths = jnp.array(symbols.num_letters)[labels]
  lengths = jnp.where(places < num_labels, lengths, 0)
  is_letter = lengths > 0
  is_begun = jnp.append(False, is_letter[:-1])
  is_first = is_letter & (jnp.array(symbols.starts)[labels] | ~is_begun)
  word = jnp.cumsum(is_first) - 1
  # Letters before a symbol, and of them those of its word.
  before = jnp.cumsum(lengths) - lengths
  offset = before - jax.lax.cummax(jnp.where(is_first, before, 0))
  longest = len(labels) * int(symbols.num_letters.max())
  bases = jnp.array(_BASES, jnp.uint32)
  powers = jnp.cumprod(jnp.broadcast_to(bases, (longest, len(bases))), axis=0)
  powers = jnp.concatenate([jnp.ones((1, 2), jnp.uint32), powers])
  letters = jnp.where(is_letter[:, None], jnp.array(symbols.sums)[labels], 0)
  terms = letters * powers[offset]
  sums = jax.ops.segment_sum(terms, word, len(labels))
  return sums, is_first.sum()
