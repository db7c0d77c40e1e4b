"""From logits to text: decoder and language model."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Decoder(enum.StrEnum):
  GREEDY = 'greedy'
  BEAM = 'beam'


class LanguageUnit(enum.StrEnum):
  CHARACTERS = 'characters'
  WORDS = 'words'


@dataclasses.dataclass(slots=True, kw_only=True)
class DecodeConfig:
  """Decoding of jobs on a finished run; all but `method` is for `beam`."""

  method: Decoder = Decoder.GREEDY
  beam_size: int = bounded(64, low=1)
  # Symbols that may extend a hypothesis at a frame: the likeliest ones.
  beam_size_token: int = bounded(10, low=1)
  # Hypotheses this much (in nats) under the best are dropped.
  beam_threshold: float = bounded(15.0, above=0.0)
  # ARPA or KenLM binary; of characters, with | for the space, or, with a
  # lexicon, of words.
  language_model: str = ''
  # Words that may be recognised, one a line; '': any spelling.
  lexicon: str = ''
  language_model_weight: float = bounded(0.75, low=0.0)
  # Added, in nats, for each word of the lexicon.
  word_score: float = 0.0


@dataclasses.dataclass(slots=True, kw_only=True)
class LanguageModelConfig:
  """An n-gram model of training transcripts, those of `config.data` unless
  `run` or `text` names others.
  """

  unit: LanguageUnit = LanguageUnit.CHARACTERS
  # KenLM reads orders 2 to 6.
  order: int = bounded(6, low=2, high=6)
  # The directory of a run whose training transcripts these are.
  run: str = ''
  # A text file with a sentence a line.
  text: str = ''
