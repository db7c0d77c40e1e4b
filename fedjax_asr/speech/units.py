"""Units of a sentencepiece model: parts of words, in place of characters."""

import base64
import re
from collections.abc import Iterable
from typing import Any

from fedjax_asr import config, home
from fedjax_asr.speech import text

# With which a unit begins that begins a word.
SPACE = '\u2581'
_ENDING = '.model'
# A unit of a model with byte fallback: a byte of what it has no other unit for.
_BYTE = re.compile('<0x([0-9A-F]{2})>')
# That no transcript has, and bytes may spell: controls, spaces but for ' '.
_SILENT = re.compile(r'[^\S ]|[\x00-\x1f\x7f-\x9f]')
_INVALID = b'\xff'  # In UTF-8.


class MissingPackageError(config.UserError):
  """Text is to be spelled in units, and nothing is installed that can."""


class Units:
  """A model: text to units. What it does not know is lost, or, where it was
  trained with --byte_fallback, spelled in bytes.

  symbols: its units by their order in the model, controls left out.
  """

  def __init__(self, content: bytes, name: str):
    """`content`: of the model's file; `name`: for messages.

    Raises:
      ConfigError: it is no model, or has a unit that only looks like a byte.
      MissingPackageError: sentencepiece is not installed.
    """
    self._content = content
    self._processor = _loaded(content, name)
    processor = self._processor
    self.symbols = [
      processor.id_to_piece(index)
      for index in range(processor.get_piece_size())
      if not (
        processor.is_control(index)
        or processor.is_unknown(index)
        or processor.is_unused(index)
      )
    ]
    for symbol in self.symbols:
      is_byte = processor.is_byte(processor.piece_to_id(symbol))
      if is_byte != bool(_BYTE.fullmatch(symbol)):
        raise config.ConfigError(
          f'{name}: the unit {symbol!r} looks like a byte and is none; want a '
          'model without it (--user_defined_symbols).'
        )

  def pieces(self, said: str) -> list[str]:
    """The units of normalised text."""
    return self._processor.encode(said, out_type=str)

  def normalized(self, said: text.Normalized) -> text.Normalized:
    """As the model writes it, with what it does not know lost."""
    unknown = [
      piece
      for piece in self.pieces(said.text)
      if self._processor.is_unknown(self._processor.piece_to_id(piece))
    ]
    if unknown:
      lost = ''.join(unknown).replace(SPACE, '')
      kept = ''.join(each for each in said.text if each not in lost)
      kept = ' '.join(kept.split())
      return said._replace(text=kept, lost=said.lost + lost)
    return said._replace(text=self._processor.decode(self.pieces(said.text)))

  def encoded(self) -> str:
    """The file, as JSON takes it."""
    return base64.b64encode(self._content).decode('ascii')


def content(symbol: str) -> bytes:
  """What a unit adds to a word, in UTF-8; a byte adds itself."""
  byte = _BYTE.fullmatch(symbol)
  if byte:
    return bytes.fromhex(byte[1])
  return symbol.replace(SPACE, '').encode()


def joined(symbols: Iterable[str]) -> str:
  """The text of units, without a space before the first word.

  Bytes become the characters that they spell in UTF-8. What spells none, or a
  space or control, is U+FFFD, by Unicode's rule of maximal subparts: words are
  parted by `SPACE` alone.
  """
  said = b''.join(map(_spelled, symbols)).decode('utf-8', 'replace')
  return _SILENT.sub('\ufffd', said).removeprefix(' ')


def _spelled(symbol: str) -> bytes:
  if _BYTE.fullmatch(symbol):
    return content(symbol).replace(b' ', _INVALID)
  return symbol.replace(SPACE, ' ').encode()


def is_model(path: str) -> bool:
  """Whether a file's name says that it is one."""
  return path.endswith(_ENDING)


def read(path: str) -> Units:
  """The model of `config.data.alphabet`.

  Raises:
    ConfigError, MissingPackageError: as `Units`, or it cannot be read.
  """
  name = f'config.data.alphabet={path!r}'
  try:
    return Units(home.expanded(path).read_bytes(), name)
  except OSError as error:
    raise config.ConfigError(
      f'{name}: {error.strerror}; want a sentencepiece model.'
    ) from error


def of_encoded(content: str) -> Units:
  """What `Units.encoded` was made of.

  Raises:
    ValueError: it is none.
  """
  return Units(base64.b64decode(content, validate=True), "the run's alphabet")


def _loaded(content: bytes, name: str) -> Any:
  try:
    # Here, because it is optional.
    import sentencepiece  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise MissingPackageError(
      f'{name} needs the package sentencepiece ({error}), of the extra units; '
      "run: pip install 'sentencepiece>=0.2'"
    ) from error
  processor = sentencepiece.SentencePieceProcessor()
  try:
    processor.LoadFromSerializedProto(content)
  except (RuntimeError, OSError) as error:
    raise config.ConfigError(
      f'{name}: no sentencepiece model; want a file that '
      'sentencepiece.SentencePieceTrainer wrote.'
    ) from error
  return processor
