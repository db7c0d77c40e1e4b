"""Word errors counted where the model runs, so that nothing is fetched.

The counts of `scores`, which are jiwer's, inside a jitted function.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

from fedjax_asr.speech import text

_SPACE = text.ALPHABET.index(' ')
# Words are compared by two polynomials of their letters, modulo 2 ** 32: of
# two words that differ, both agree for one pair in 2 ** 64.
_BASES = (0x9E3779B1, 0x85EBCA6B)


class _Word(NamedTuple):
  """The word that is being read: its sums, and the next letter's powers."""

  sums: UInt32[Array, ' bases']
  powers: UInt32[Array, ' bases']


def word_errors(
  path: Int[Array, ' frames'],
  labels: Int[Array, ' labels'],
  num_labels: Int[Array, ''],
) -> tuple[Int[Array, ''], Int[Array, '']]:
  """(fewest substitutions, deletions and insertions; words that were said).

  Of one utterance: `path` as `greedy.path` gives it, blanks to be left out;
  `labels` are those that were said. Words are parted by any number of spaces.
  """
  said, num_words = _said(labels, num_labels)

  def read(state, symbol):
    word, distances = state
    is_end = (symbol == _SPACE) & (word.sums != 0).any()
    heard = jax.tree.map(
      lambda after, before: jnp.where(is_end, after, before),
      _heard(distances, said, word.sums),
      distances,
    )
    word = jax.tree.map(
      lambda empty, longer: jnp.where(symbol == _SPACE, empty, longer),
      _no_word(),
      _longer(word, symbol),
    )
    return (word, heard), None

  # distances[j]: between what was heard so far and the first j words said.
  begin = _no_word(), jnp.arange(len(said) + 1)
  symbols = jnp.append(path, _SPACE)
  (_, distances), _ = jax.lax.scan(read, begin, symbols)
  return distances[num_words], num_words


def _no_word() -> _Word:
  return _Word(jnp.zeros(2, jnp.uint32), jnp.ones(2, jnp.uint32))


def _longer(word: _Word, symbol: Int[Array, '']) -> _Word:
  """With a letter more; blanks are none."""
  longer = _Word(
    word.sums + symbol.astype(jnp.uint32) * word.powers,
    word.powers * jnp.array(_BASES, jnp.uint32),
  )
  return jax.tree.map(
    lambda new, old: jnp.where(symbol == text.BLANK, old, new), longer, word
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
  labels: Int[Array, ' labels'], num_labels: Int[Array, '']
) -> tuple[UInt32[Array, 'words bases'], Int[Array, '']]:
  """The words of a transcript, and how many they are."""
  places = jnp.arange(len(labels))
  is_letter: Bool[Array, ' labels'] = (labels != _SPACE) & (places < num_labels)
  is_first = is_letter & ~jnp.append(False, is_letter[:-1])
  word = jnp.cumsum(is_first) - 1
  begin = jax.lax.cummax(jnp.where(is_first, places, 0))
  bases = jnp.array(_BASES, jnp.uint32)
  powers = jnp.cumprod(
    jnp.broadcast_to(bases, (len(labels), len(_BASES))), axis=0
  )
  powers = jnp.concatenate([jnp.ones((1, 2), jnp.uint32), powers[:-1]])
  letters = jnp.where(is_letter, labels, 0).astype(jnp.uint32)
  terms = letters[:, None] * powers[places - begin]
  sums = jax.ops.segment_sum(terms, word, (len(labels) + 1) // 2)
  return sums, is_first.sum()
