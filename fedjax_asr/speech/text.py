"""Text to labels and back: blank, space, apostrophe, a to z."""

import functools
import re
import unicodedata
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32

BLANK = 0
# A label is an index into this; `_` stands for the blank, never for itself.
ALPHABET = "_ 'abcdefghijklmnopqrstuvwxyz"
VOCAB_SIZE = len(ALPHABET)

_LABELS = {character: i for i, character in enumerate(ALPHABET) if i != BLANK}
# Modifier letter, curly and reversed quotes, prime, grave, acute.
_APOSTROPHES = frozenset("'\u02bc\u02bb\u2018\u2019\u201b\u2032`\u00b4")
# Punctuation by Unicode's categories, and yet read aloud, or markup.
_SPOKEN = frozenset('%&@#*/\\_[]{}\u00a7\u00b6\u2030\u2031')
# Stands for punctuation until it is known what is beside it; itself a control
# character, it is never kept.
_MARK = '\0'
_BETWEEN_WORDS = re.compile(f"(?<=[a-z']){_MARK}+(?='?[a-z])")


class Normalized(NamedTuple):
  """Text in the alphabet, and what of the original is not in it, in order."""

  text: str
  # Punctuation and invisible characters: nobody says them.
  dropped: str
  # What is said and cannot be spelled: with any, `text` is not what was said.
  lost: str


def normalize(text: str) -> Normalized:
  """Spells text in the alphabet.

  Every character is under one of these rules:

    letters      lower-cased, without accents (NFKD; ligatures are taken apart)
    apostrophes  curly ones, primes, grave and acute become straight, wherever
                 they stand: a quotation in single quotes keeps them
    spaces       and hyphens and dashes become one space, none at the ends
    punctuation  dropped; between two words it becomes a space ('one,two',
                 'U.S.')
    invisible    (joiners, direction marks) dropped
    all others   lost: digits and numerals of any kind; letters of another
                 alphabet, and those that NFKD does not take to a to z; symbols
                 (+ $ = < > | ~ \u00b0 \u2122, the minus sign, emoji); of
                 what Unicode calls punctuation % & @ # * / \\ _ \u00a7 and
                 square and curly brackets; control characters.

  Idempotent: normalising twice is normalising once. What a transcript may hold
  beside words is `transcript.spelled`'s.
  """
  kept, dropped, lost = [], [], []
  for character in text:
    spelled = _spelling(character)
    kept.append(spelled or '')
    if spelled is None:
      lost.append(character)
    elif spelled == _MARK or (not spelled and _is_invisible(character)):
      dropped.append(character)
  joined = _BETWEEN_WORDS.sub(' ', ''.join(kept)).replace(_MARK, '')
  return Normalized(
    text=' '.join(joined.split()), dropped=''.join(dropped), lost=''.join(lost)
  )


def encode(text: str) -> Int32[np.ndarray, 'labels']:
  """Labels of text in the alphabet, none of them blank.

  Raises:
    ValueError: a character that is none of it; want it normalised.
  """
  outside = [character for character in text if character not in _LABELS]
  if outside:
    raise ValueError(f'{outside[0]!r} in {text[:40]!r}; want {ALPHABET[1:]!r}.')
  return np.array([_LABELS[character] for character in text], np.int32)


def decode(labels: Int[np.ndarray, 'labels']) -> str:
  """The text of labels; blanks, such as padding, are left out.

  Inverts `encode`: `decode(encode(text)) == text`.

  Raises:
    ValueError: a label outside the alphabet.
  """
  labels = np.asarray(labels)
  outside = labels[(labels < 0) | (labels >= VOCAB_SIZE)]
  if len(outside):
    raise ValueError(f'label {outside[0]}; want 0 to {VOCAB_SIZE - 1}.')
  return ''.join(ALPHABET[label] for label in labels if label != BLANK)


def min_ctc_frames(labels: Int[np.ndarray, 'labels']) -> int:
  """Frames below which no CTC path spells the labels.

  One for each label and one for the blank between two equal neighbours
  (Graves et al. 2006).
  """
  labels = np.asarray(labels)
  return len(labels) + int((labels[1:] == labels[:-1]).sum())


@functools.lru_cache(maxsize=4096)
def _spelling(character: str) -> str | None:
  """What one becomes: `_MARK` for punctuation, None where it is lost."""
  decomposed = unicodedata.normalize('NFKD', character)
  category = unicodedata.category(character)
  if character in _APOSTROPHES or decomposed in _APOSTROPHES:
    return "'"
  if category.startswith('L'):
    letters = [_letter(each) for each in decomposed.casefold()]
    return None if None in letters else ''.join(filter(None, letters))
  if category == 'Mn' or _is_invisible(character):
    return ''
  if character.isspace() or category == 'Pd':
    return ' '
  is_silent = category.startswith('P') and not _SPOKEN & {*decomposed}
  return _MARK if is_silent else None


def _is_invisible(character: str) -> bool:
  return unicodedata.category(character) == 'Cf'


def _letter(character: str) -> str | None:
  """Of a letter's decomposition."""
  if unicodedata.category(character) == 'Mn':  # An accent.
    return ''
  if character in _APOSTROPHES:
    return "'"
  return character if character in _LABELS else None
