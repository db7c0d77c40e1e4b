"""Symbols from a file, one a line, as Mozilla's DeepSpeech has them."""

import itertools
import unicodedata

from fedjax_asr import config, home
from fedjax_asr.speech import spelling

_SPACE = '<space>'
# `_` is how the blank is shown.
_BLANKS = frozenset(
  {'_', '<blank>', '<blk>', '<pad>', '[pad]', '<ctc>', '<eps>'}
)
_JOINERS = frozenset('\u200c\u200d')
_VIRAMA = 9  # Its canonical combining class: it joins two consonants.


def read(path: str, rules: spelling.Rules) -> tuple[str, ...]:
  """The symbols of `config.data.alphabet`, in their order, without the blank.

  UTF-8; a line that begins with `#` is a comment, and `\\#` is the symbol. The
  space is a line of one space, or `<space>`. Symbols are in Unicode's form
  NFC: one that looks like a character may be several.

  Raises:
    ConfigError: a line is no symbol, is the blank, or comes twice; there is
      none, or the file cannot be read.
  """
  places: dict[str, int] = {}
  for number, line in enumerate(_lines(path), 1):
    if line.startswith('#'):
      continue
    symbol = _symbol(line)
    fault = _fault(symbol, rules)
    if symbol in places:
      fault = f'it is in line {places[symbol]} too; want each symbol once'
    if fault:
      raise _refused(path, f'line {number}: {line[:40]!r}: {fault}')
    places[symbol] = number
  if not places:
    raise _refused(path, 'it has no symbol; want one a line')
  return tuple(places)


def _lines(path: str) -> list[str]:
  try:
    content = home.expanded(path).read_bytes().decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise _refused(
      path, f'it is not UTF-8 (byte {error.start}); want it saved as UTF-8'
    ) from error
  except OSError as error:
    raise _refused(
      path,
      f'{error.strerror}; want english, corpus, or a file with a symbol a line',
    ) from error
  lines = [line.removesuffix('\r') for line in content.split('\n')]
  while lines and not lines[-1]:
    lines.pop()
  return lines


def _symbol(line: str) -> str:
  if line == _SPACE:
    return ' '
  return unicodedata.normalize('NFC', '#' if line == '\\#' else line)


def _fault(symbol: str, rules: spelling.Rules) -> str:
  """Why a line is none, or ''."""
  if not symbol:
    return f'an empty line; want a symbol (the space is {_SPACE})'
  if symbol.lower() in _BLANKS:
    return 'the blank, which every alphabet has; want the line removed'
  if len(symbol) == 1 and symbol != ' ' and _is_blank(symbol):
    return f'a control or a wide space; want a symbol (the space is {_SPACE})'
  if symbol != ' ' and not _is_grapheme(symbol):
    return 'more than one character; want one symbol a line'
  if spelling.composed(symbol, rules) != symbol:
    return (
      'in upper case, which no transcript is in; want config.data.case=keep, '
      'or lower case'
    )
  return ''


def _is_grapheme(symbol: str) -> bool:
  """Whether a reader sees one character (Unicode's annex 29, in short)."""
  if _is_blank(symbol[0]):
    return False
  for before, character in itertools.pairwise(symbol):
    is_extending = (
      unicodedata.category(character).startswith('M') or character in _JOINERS
    )
    is_joined = unicodedata.combining(before) == _VIRAMA or before in _JOINERS
    if not is_extending and not (is_joined and spelling.is_letter(character)):
      return False
  return True


def _is_blank(character: str) -> bool:
  return character.isspace() or unicodedata.category(character) == 'Cc'


def _refused(path: str, reason: str) -> config.ConfigError:
  return config.ConfigError(f'config.data.alphabet={path!r}: {reason}.')
