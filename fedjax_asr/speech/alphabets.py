"""What the labels of a model mean: an alphabet, and how text is spelled in it.

Label 0 is CTC's blank in each. An alphabet is english, the characters of a
corpus, the symbols of a file, or the units of a sentencepiece model.
"""

import collections
import enum
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int32

from fedjax_asr import config
from fedjax_asr.speech import alphabet_file, spelling, text, units

BLANK = 0
# Stands for the blank where symbols are shown, and is none itself.
BLANK_SHOWN = '_'
ENGLISH_NAME = 'english'
CORPUS_NAME = 'corpus'


class Kind(enum.StrEnum):
  ENGLISH = 'english'
  CORPUS = 'corpus'
  FILE = 'file'
  UNITS = 'units'


class Alphabet:
  """Symbols by label, and the rules by which text is spelled with them.

  symbols: `BLANK_SHOWN`, and then each symbol, of one character or several.
  is_open: there are no symbols yet: every character that the rules leave is
    one, as while the characters of a corpus are counted.
  """

  def __init__(
    self,
    kind: Kind,
    symbols: Iterable[str] = (),
    rules: spelling.Rules | None = None,
    model: units.Units | None = None,
  ):
    """`symbols` without the blank; `model`: of `Kind.UNITS`."""
    self.kind = kind
    self.symbols = (BLANK_SHOWN, *symbols)
    self.rules = rules or spelling.Rules()
    self.model = model
    self.is_open = len(self.symbols) == 1
    self._labels = {
      symbol: label
      for label, symbol in enumerate(self.symbols)
      if label != BLANK
    }
    self._listed = spelling.listed(frozenset(self._labels))

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Alphabet) and record(self) == record(other)

  def __hash__(self) -> int:
    return hash((self.kind, self.symbols, self.rules))

  @property
  def size(self) -> int:
    """How many labels there are, the blank among them."""
    return len(self.symbols)

  @property
  def space(self) -> int | None:
    """The space's label; None of units, and where there is none."""
    return self._labels.get(' ')

  @property
  def has_words(self) -> bool:
    """Whether words are told apart; else each character counts as one."""
    return self.space is not None or self.kind is Kind.UNITS

  @property
  def word_start(self) -> str:
    """With which units begin that begin words; '' of others."""
    return units.SPACE if self.kind is Kind.UNITS else ''

  @functools.cached_property
  def starts_word(self) -> Bool[np.ndarray, ' vocab']:
    """Units with which a word begins; none where there is a space."""
    is_unit = self.kind is Kind.UNITS
    return np.array(
      [is_unit and s.startswith(units.SPACE) for s in self.symbols]
    )

  def composed(self, raw: str) -> str:
    """Text as it is while it is compared with the symbols."""
    if self.kind is Kind.ENGLISH:
      return raw
    return spelling.composed(raw, self.rules)

  def normalize(self, raw: str) -> text.Normalized:
    """Spells text with the symbols: `text.normalize` for English, for others
    `spelling.normalize`. Idempotent."""
    match self.kind:
      case Kind.ENGLISH:
        return text.normalize(raw)
      case Kind.FILE:
        return spelling.normalize(raw, self.rules, self._listed)
    said = spelling.normalize(raw, self.rules, None)
    if self.model is not None:
      return self.model.normalized(said)
    return said if self.is_open else self._without_others(said)

  def _without_others(self, said: text.Normalized) -> text.Normalized:
    """What an open alphabet keeps and this one has not is lost."""
    spaced = {*self._labels, ' '}
    others = ''.join(each for each in said.text if each not in spaced)
    if not others:
      return said
    kept = ''.join(each for each in said.text if each in spaced)
    return said._replace(text=' '.join(kept.split()), lost=said.lost + others)

  def encode(self, said: str) -> Int32[np.ndarray, 'labels']:
    """Labels of text in the alphabet, none of them blank.

    Raises:
      ValueError: a character that is none of it; want it normalised.
    """
    if self.model is not None:
      return np.array(
        [self._labels[each] for each in self.model.pieces(said)], np.int32
      )
    labels = [self._labels.get(piece) for piece in self._pieces(said)]
    if None in labels:
      outside = [*self._pieces(said)][labels.index(None)]
      raise ValueError(f'{outside!r} in {said[:40]!r}; want {self.shown()}.')
    return np.array(labels, np.int32)

  def _pieces(self, said: str) -> Iterable[str]:
    if self._listed.longest <= 1:
      return said
    return (piece for _, piece in spelling.pieces(said, self._listed))

  def decode(self, labels: Int[np.ndarray, 'labels']) -> str:
    """The text of labels; blanks, such as padding, are left out.

    Inverts `encode`: `decode(encode(text)) == text`.

    Raises:
      ValueError: a label outside the alphabet.
    """
    labels = np.asarray(labels)
    outside = labels[(labels < 0) | (labels >= self.size)]
    if len(outside):
      raise ValueError(f'label {outside[0]}; want 0 to {self.size - 1}.')
    symbols = (self.symbols[label] for label in labels if label != BLANK)
    if self.kind is Kind.UNITS:
      return units.joined(symbols)
    return ''.join(symbols)

  def shown(self, count: int = 40) -> str:
    """The symbols for a message, the first so many of them."""
    shown = self.listed(self.symbols[1 : count + 1])
    more = self.size - 1 - count
    return repr(shown) + (f' and {more} more' if more > 0 else '')

  def listed(self, symbols: Iterable[str]) -> str:
    """Some of the symbols, with spaces between parts of words."""
    return (' ' if self.kind is Kind.UNITS else '').join(symbols)


ENGLISH = Alphabet(Kind.ENGLISH, text.LETTERS)


def of_config(data: config.DataConfig) -> Alphabet:
  """What `data.alphabet` names; open for the characters of a corpus.

  Raises:
    ConfigError: the file is not what it should be.
    MissingPackageError: it is a sentencepiece model, without the package.
  """
  rules = spelling.Rules(data.case, data.punctuation)
  match data.alphabet:
    case 'english':
      return ENGLISH
    case 'corpus':
      return Alphabet(Kind.CORPUS, (), rules)
  if units.is_model(data.alphabet):
    model = units.read(data.alphabet)
    return Alphabet(Kind.UNITS, model.symbols, rules, model)
  return Alphabet(Kind.FILE, alphabet_file.read(data.alphabet, rules), rules)


def of_texts(
  texts: Iterable[str], rules: spelling.Rules, min_count: int = 1
) -> tuple[Alphabet, dict[str, int]]:
  """The characters of normalised texts, in their order, the space first; and
  how often those occur that do so fewer than `min_count` times."""
  counts = collections.Counter(''.join(texts))
  symbols = sorted(each for each in counts if counts[each] >= min_count)
  rare = {each: n for each, n in counts.most_common() if n < min_count}
  return Alphabet(Kind.CORPUS, symbols, rules), rare


def record(alphabet: Alphabet) -> Any:
  """As JSON takes it; the English one is a string, as it always was."""
  if alphabet.kind is Kind.ENGLISH:
    return ''.join(alphabet.symbols)
  values = {
    'kind': alphabet.kind.value,
    'case': alphabet.rules.case.value,
    'punctuation': alphabet.rules.punctuation.value,
    'symbols': list(alphabet.symbols),
  }
  if alphabet.model is not None:
    values['sentencepiece'] = alphabet.model.encoded()
  return values


def of_record(values: Any) -> Alphabet:
  """What `record` was made of.

  Raises:
    ValueError, KeyError, TypeError: it is no such record.
    MissingPackageError: as `of_config`.
  """
  if values == record(ENGLISH):
    return ENGLISH
  if not isinstance(values, Mapping):
    raise ValueError(f'it is {values!r}; want {record(ENGLISH)!r}')
  symbols: Sequence[str] = values['symbols']
  if symbols[:1] != [BLANK_SHOWN] or not all(map(str.__len__, symbols)):
    raise ValueError(f'symbols that do not begin with {BLANK_SHOWN!r}')
  kind = Kind(values['kind'])
  rules = spelling.Rules(
    config.Case(values['case']), config.Punctuation(values['punctuation'])
  )
  model = None
  if kind is Kind.UNITS:
    model = units.of_encoded(values['sentencepiece'])
  return Alphabet(kind, symbols[1:], rules, model)


def min_ctc_frames(labels: Int[np.ndarray, 'labels']) -> int:
  """Frames below which no CTC path spells the labels.

  One for each label and one for the blank between two equal neighbours
  (Graves et al. 2006).
  """
  labels = np.asarray(labels)
  return len(labels) + int((labels[1:] == labels[:-1]).sum())
