"""Transcripts to labels and back: blank, space, apostrophe, a to z."""

import functools
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
_MINUS = '\u2212'


class Normalized(NamedTuple):
  """A transcript that `encode` takes without loss, and what was left out."""

  text: str
  # The characters of the original that have no spelling in the alphabet.
  dropped: str


def normalize(text: str) -> Normalized:
  """Spells a transcript in the alphabet.

  Letters are lower-cased and lose their accents (NFKD), curly apostrophes
  become straight ones, dashes and white space become single spaces, with none
  at the ends. Idempotent: normalising twice is normalising once. Every other
  character is left out and is reported in `dropped`, in order.
  """
  spellings = [(character, _spelling(character)) for character in text]
  kept = ''.join(spelled for _, spelled in spellings if spelled is not None)
  dropped = ''.join(c for c, spelled in spellings if spelled is None)
  return Normalized(text=' '.join(kept.split()), dropped=dropped)


def encode(text: str) -> Int32[np.ndarray, 'labels']:
  """Labels of `normalize(text).text`, none of them blank."""
  return np.array([_LABELS[c] for c in normalize(text).text], np.int32)


def decode(labels: Int[np.ndarray, 'labels']) -> str:
  """The text of labels; blanks, such as padding, are left out.

  Inverts `encode`: `decode(encode(text)) == normalize(text).text`.

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
  """What one character becomes; None where the alphabet has nothing for it."""
  if character in _APOSTROPHES:
    return "'"
  letters = [
    _letter(c) for c in unicodedata.normalize('NFKD', character).casefold()
  ]
  return None if None in letters else ''.join(filter(None, letters))


def _letter(character: str) -> str | None:
  category = unicodedata.category(character)
  if category == 'Mn':  # An accent.
    return ''
  if character.isspace() or category == 'Pd' or character == _MINUS:
    return ' '
  if character in _APOSTROPHES:
    return "'"
  return character if character in _LABELS else None
