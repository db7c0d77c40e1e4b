"""N-gram models and lexicons from files, as the beam search takes them."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from fedjax_asr import config, home
from fedjax_asr.speech import alphabets

# How a space is written in a model of characters.
SPACE = '|'
# A word that no language model knows.
_UNKNOWN = '\x01'
# KenLM's binaries begin with this; anything else is read as ARPA.
_BINARY = b'mmap lm http://kheafield.com/code'
_COUNT = re.compile(r'ngram (\d+)=(\d+)')
# "-1", a tab, a symbol and a line's end.
_LEAST_BYTES = 4


class DecodeError(config.UserError):
  """The beam search cannot be had as `config.decode` asks."""


def check_package() -> None:
  """Raises `DecodeError` unless flashlight-text with KenLM is installed."""
  # Here and below it is imported where it is used: greedy decoding does
  # without, and it may not be installed.
  try:
    from flashlight.lib.text import decoder
    from flashlight.lib.text.decoder import kenlm

    del decoder, kenlm
  except ImportError as error:
    reason = ' '.join(str(error).split())
    raise DecodeError(
      'config.decode.method=beam needs the package flashlight-text '
      f"({reason}); run: pip install 'flashlight-text>=0.0.7' (its wheels are "
      'for Python 3.11 and 3.12)'
    ) from error


def symbols(alphabet: alphabets.Alphabet) -> list[str]:
  """Every symbol of a model of characters, in order of the labels.

  Raises:
    DecodeError: one is what stands for the space.
  """
  if SPACE in alphabet.symbols:
    raise DecodeError(
      f'an alphabet with {SPACE!r} has no model of characters, in which that '
      'is the space; want config.language_model.unit=words, or another '
      'alphabet.'
    )
  return [SPACE if each == ' ' else each for each in alphabet.symbols[1:]]


def characters(sentence: str, alphabet: alphabets.Alphabet) -> list[str]:
  """The symbols of a sentence in a model of characters."""
  known = symbols(alphabet)
  return [known[label - 1] for label in alphabet.encode(sentence)]


def read_lexicon(path: str, alphabet: alphabets.Alphabet) -> list[str]:
  """The words of a file, one a line, in order and once each; '' has none.

  Raises:
    DecodeError: it cannot be read, has no word, or a line is not one word in
      the alphabet.
  """
  if not path:
    return []
  if alphabet.space is None:
    raise DecodeError(
      f'config.decode.lexicon={path!r} needs an alphabet with a space, which '
      "ends each word; the run's has none: want ''."
    )
  words: dict[str, None] = {}
  for number, line in enumerate(_lines(path), 1):
    word = line.strip()
    if word and (alphabet.normalize(word).text != word or ' ' in word):
      raise DecodeError(
        f'config.decode.lexicon={path!r}, line {number}: {word[:40]!r}; want '
        f'one word spelled with {alphabet.shown()}.'
      )
    if word:
      words[word] = None
  if not words:
    raise DecodeError(
      f'config.decode.lexicon={path!r} is empty; want a word a line.'
    )
  return list(words)


def of_characters(path: str, alphabet: alphabets.Alphabet) -> Any:
  """flashlight's language model of labels; '' gives one that scores 0.

  Raises:
    DecodeError: the file is no n-gram model, or not one of characters.
  """
  if not path:
    return _zero()
  model, known = _loaded(path, ['<blank>', *symbols(alphabet)])
  space = alphabet.space
  others = [is_known for i, is_known in enumerate(known) if i and i != space]
  if not any(others) or (space is not None and not known[space]):
    raise DecodeError(
      f'config.decode.language_model={path!r} is no model of characters with '
      f'{SPACE!r} for the space; want one of the alphabet {alphabet.shown()}, '
      'or a config.decode.lexicon.'
    )
  return model


def of_words(path: str, words: Sequence[str]) -> Any:
  """flashlight's language model of words by index; '' gives one that scores 0.

  Raises:
    DecodeError: the file is no n-gram model, or knows none of the words.
  """
  if not path:
    return _zero()
  model, known = _loaded(path, words)
  # A model of characters would know those of one letter.
  longest = max(map(len, words))
  if not any(
    is_known and len(word) > min(longest - 1, 1)
    for word, is_known in zip(words, known, strict=True)
  ):
    raise DecodeError(
      f'config.decode.language_model={path!r} does not know the words of '
      'config.decode.lexicon; want an n-gram model of words.'
    )
  return model


def _zero() -> Any:
  from flashlight.lib.text import decoder

  return decoder.ZeroLM()


def _loaded(path: str, names: Sequence[str]) -> tuple[Any, list[bool]]:
  """The model of a file, and which of the names it knows."""
  from flashlight.lib.text import dictionary
  from flashlight.lib.text.decoder import kenlm

  _check_file(path)
  entries = dictionary.Dictionary([*names, _UNKNOWN])
  try:
    with _no_standard_error():
      model = kenlm.KenLM(str(home.expanded(path)), entries)
  except (RuntimeError, ValueError, MemoryError) as error:
    # A first line, if there are two, is about KenLM's source code.
    where, _, reason = str(error).strip().partition('\n')
    raise _not_a_model(path, reason or where) from error
  start = model.start(False)
  scores = [model.score(start, i)[1] for i in range(len(names) + 1)]
  return model, [score != scores[-1] for score in scores[:-1]]


def _check_file(path: str) -> None:
  """Refuses what KenLM would answer with pages, or with all our memory."""
  file = home.expanded(path)
  try:
    with file.open('rb') as stream:
      head = stream.read(4096)
    size = file.stat().st_size
  except OSError as error:
    raise _not_a_model(path, error.strerror or str(error)) from error
  if head.startswith(_BINARY):
    return
  if not head.lstrip().startswith(b'\\data\\'):
    raise _not_a_model(path, 'it does not begin with \\data\\')
  counts = _COUNT.findall(head.decode(errors='replace'))
  if _LEAST_BYTES * sum(int(count) for _, count in counts) > size:
    raise _not_a_model(path, 'it ends before its n-grams do')


def _not_a_model(path: str, reason: str) -> DecodeError:
  return DecodeError(
    f'config.decode.language_model={path!r}: {" ".join(reason.split())}; want '
    'an n-gram model of order 2 to 6, ARPA or KenLM binary.'
  )


def _lines(path: str) -> list[str]:
  try:
    content = home.expanded(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'it is not UTF-8'
    raise DecodeError(
      f'config.decode.lexicon={path!r}: {reason}; want a text file with a word '
      'a line.'
    ) from error
  return content.splitlines()


@contextlib.contextmanager
def _no_standard_error() -> Iterator[None]:
  """KenLM draws a progress bar on file descriptor 2, unasked."""
  sys.stderr.flush()
  saved = os.dup(2)
  with open(os.devnull, 'wb') as nowhere:
    os.dup2(nowhere.fileno(), 2)
  try:
    yield
  finally:
    os.dup2(saved, 2)
    os.close(saved)
