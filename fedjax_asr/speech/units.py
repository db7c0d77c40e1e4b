"""Units of a sentencepiece model: parts of words, in place of characters."""

import base64
from typing import Any

from fedjax_asr import config, home
from fedjax_asr.speech import text

# With which a unit begins that begins a word.
SPACE = '\u2581'
_ENDING = '.model'


class MissingPackageError(config.UserError):
  """Text is to be spelled in units, and nothing is installed that can."""


class Units:
  """A model: text to units. What it does not know is lost.

  symbols: its units by their order in the model, controls left out.
  """

  def __init__(self, content: bytes, name: str):
    """`content`: of the model's file; `name`: for messages.

    Raises:
      ConfigError: it is no model, or one that spells bytes.
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
    if any(map(processor.is_byte, range(processor.get_piece_size()))):
      raise config.ConfigError(
        f'{name}: it spells bytes; want a model trained without '
        '--byte_fallback.'
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
