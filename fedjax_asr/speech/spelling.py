"""What was said, spelled in any language: by rules of Unicode's categories."""

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.speech import text

# In the names of letters that are written without spaces between words.
_WITHOUT_SPACES = (
  'CJK',
  'HIRAGANA',
  'KATAKANA',
  'THAI',
  'LAO',
  'KHMER',
  'MYANMAR',
  'TIBETAN',
)
# Inside of a word they decide how it is written (Persian, Hindi).
_JOINERS = frozenset('\u200c\u200d')
# But for the Hawaiian letter, with which words begin.
_APOSTROPHES = text.APOSTROPHES - {'\u02bb'}
# As in `text`: punctuation, until it is known what is beside it.
_MARK = '\0'


class Rules(NamedTuple):
  """`config.data.case` and `config.data.punctuation`."""

  case: config.Case = config.Case.LOWER
  punctuation: config.Punctuation = config.Punctuation.DROP


class Listed(NamedTuple):
  """Symbols that are kept as they are, whatever the rules say."""

  symbols: frozenset[str]
  longest: int  # Of a symbol, in characters.


def listed(symbols: frozenset[str]) -> Listed:
  """Of the symbols of a file."""
  return Listed(symbols, max(map(len, symbols), default=0))


def composed(raw: str, rules: Rules) -> str:
  """In Unicode's form NFC and, by `rules.case`, in lower case."""
  if rules.case is config.Case.LOWER:
    raw = unicodedata.normalize('NFC', raw).lower()
  return unicodedata.normalize('NFC', raw)


def normalize(raw: str, rules: Rules, known: Listed | None) -> text.Normalized:
  """Spells text by the rules.

  Every character is, in the form NFC, under the first of these that fits:

    known        kept, where a file lists its symbols
    spaces       become one, none at the ends
    letters      and combining marks of any script kept, in their order, lower-
                 cased by `rules.case`
    joiners      kept between two of them (zero-width ones); other invisible
                 characters, direction marks among them, dropped
    apostrophes  become straight; kept between two letters, else punctuation
    punctuation  by `rules.punctuation` kept or dropped: hyphens and dashes, and
                 others between two words, become a space, and nothing beside
                 letters of scripts that are written without spaces
    all others   lost, as in `text.normalize`: digits, symbols, and what of
                 punctuation is read aloud

  Where `known` is given, letters and punctuation that it lacks are lost, as far
  as they are not dropped. Idempotent.
  """
  raw = composed(raw, rules)
  kept, dropped, lost = [], [], []
  for place, piece in pieces(raw, known):
    if known and piece in known.symbols:
      kept.append(piece)
      continue
    spelled = _spelled(raw, place, rules, known)
    kept.append(spelled or '')
    if spelled is None:
      lost.append(piece)
    elif spelled in ('', _MARK) and unicodedata.category(piece) != 'Pd':
      dropped.append(piece)
  joined = re.sub(f'{_MARK}+', _between, ''.join(kept))
  return text.Normalized(
    text=' '.join(joined.split()), dropped=''.join(dropped), lost=''.join(lost)
  )


def pieces(raw: str, known: Listed | None) -> Iterator[tuple[int, str]]:
  """The longest known symbol at each place, or else a character."""
  place = 0
  while place < len(raw):
    piece = raw[place]
    for length in range(known.longest if known else 1, 1, -1):
      candidate = raw[place : place + length]
      if known and len(candidate) == length and candidate in known.symbols:
        piece = candidate
        break
    yield place, piece
    place += len(piece)


def _spelled(
  raw: str, place: int, rules: Rules, known: Listed | None
) -> str | None:
  """What a character becomes; None where it is lost."""
  character = raw[place]
  if character.isspace():
    return ' '
  is_apostrophe = character in _APOSTROPHES
  if is_apostrophe:
    if _is_kept(raw, place, rules, known):
      return "'"
  elif is_letter(character):
    return None if known else character
  if text.is_invisible(character):
    is_joining = character in _JOINERS and _is_inside(raw, place)
    return character if is_joining and not known else ''
  is_silent = is_apostrophe or unicodedata.category(character).startswith('P')
  if not is_silent or text.SPOKEN & {*unicodedata.normalize('NFKD', character)}:
    return None
  if rules.punctuation is config.Punctuation.KEEP:
    return None if known else character
  return _MARK


def _is_kept(raw: str, place: int, rules: Rules, known: Listed | None) -> bool:
  """Whether an apostrophe is."""
  if known:
    return "'" in known.symbols
  return rules.punctuation is config.Punctuation.KEEP or _is_inside(raw, place)


def _between(marks: re.Match[str]) -> str:
  """What punctuation leaves: a space between words that have spaces."""
  around = marks.string[: marks.start()][-1:], marks.string[marks.end() :][:1]
  is_open = all(each and not each.isspace() for each in around)
  return ' ' if is_open and not any(map(_is_spaceless, around)) else ''


def _is_inside(raw: str, place: int) -> bool:
  """Whether there is a letter on both sides."""
  around = raw[max(place - 1, 0) : place], raw[place + 1 : place + 2]
  return all(each and is_letter(each) for each in around)


def first_word(said: str) -> str:
  """The first word of text, or its first character where that is of a script
  that is written without spaces (Chinese, Japanese, Thai)."""
  return said[:1] if _is_spaceless(said[:1]) else said.split(' ', 1)[0]


@functools.lru_cache(maxsize=16384)
def is_letter(character: str) -> bool:
  """Whether it is a letter or a combining mark, of any script."""
  return unicodedata.category(character)[0] in 'LM'


@functools.lru_cache(maxsize=16384)
def _is_spaceless(character: str) -> bool:
  if not character:
    return False
  return unicodedata.name(character, '').startswith(_WITHOUT_SPACES)
