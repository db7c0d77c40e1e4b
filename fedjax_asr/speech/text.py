"""What was said, spelled in English: space, apostrophe, a to z."""

import functools
import re
import unicodedata
from typing import NamedTuple

# What `normalize` keeps.
LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
# Modifier letter, curly and reversed quotes, prime, grave, acute.
APOSTROPHES = frozenset("'\u02bc\u02bb\u2018\u2019\u201b\u2032`\u00b4")
# Punctuation by Unicode's categories, and yet read aloud, or markup.
SPOKEN = frozenset('%&@#*/\\_[]{}\u00a7\u00b6\u2030\u2031')
# Stands for punctuation until it is known what is beside it; itself a control
# character, it is never kept.
_MARK = '\0'
_BETWEEN_WORDS = re.compile(f"(?<=[a-z']){_MARK}+(?='?[a-z])")


class Normalized(NamedTuple):
  """Text in an alphabet, and what of the original is not in it, in order."""

  text: str
  # Punctuation and invisible characters: nobody says them.
  dropped: str
  # What is said and cannot be spelled: with any, `text` is not what was said.
  lost: str


def normalize(text: str) -> Normalized:
  """Spells text in English.

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
    elif spelled == _MARK or (not spelled and is_invisible(character)):
      dropped.append(character)
  joined = _BETWEEN_WORDS.sub(' ', ''.join(kept)).replace(_MARK, '')
  return Normalized(
    text=' '.join(joined.split()), dropped=''.join(dropped), lost=''.join(lost)
  )


@functools.lru_cache(maxsize=4096)
def _spelling(character: str) -> str | None:
  """What one becomes: `_MARK` for punctuation, None where it is lost."""
  decomposed = unicodedata.normalize('NFKD', character)
  category = unicodedata.category(character)
  if character in APOSTROPHES or decomposed in APOSTROPHES:
    return "'"
  if category.startswith('L'):
    letters = [_letter(each) for each in decomposed.casefold()]
    return None if None in letters else ''.join(filter(None, letters))
  if category == 'Mn' or is_invisible(character):
    return ''
  if character.isspace() or category == 'Pd':
    return ' '
  is_silent = category.startswith('P') and not SPOKEN & {*decomposed}
  return _MARK if is_silent else None


def is_invisible(character: str) -> bool:
  """Whether it is a joiner, a direction mark or the like."""
  return unicodedata.category(character) == 'Cf'


def _letter(character: str) -> str | None:
  """Of a letter's decomposition."""
  if unicodedata.category(character) == 'Mn':  # An accent.
    return ''
  if character in APOSTROPHES:
    return "'"
  return character if character in LETTERS else None
