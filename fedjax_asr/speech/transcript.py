"""From a transcript, as a corpus has it, to what was said in an alphabet.

The one way there: for training, references, language models and attacks.
"""

import functools
import re
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.speech import alphabets, spoken_numbers

_NUM_SHOWN = 5  # Of what is lost, in a message.
_TAG = re.compile(r'\[[^][]*\]|<[^<>]*>|\{[^{}]*\}')


class Transcript(NamedTuple):
  """What was said, and what of the transcript is not in it, in order.

  `text` is what was said, if nothing is `lost` and there are no `tags`.
  """

  text: str
  dropped: str  # Punctuation.
  lost: str  # Characters that are said and have no spelling.
  tags: tuple[str, ...]  # Such as '[noise]', where nothing says what of them.
  # Where something is lost, as it is written: '12,34'.
  unspelled: tuple[str, ...] = ()
  # Of what is lost, some is a number that `config.data.numbers` would spell.
  has_number: bool = False

  def fault(self) -> str:
    """Why `text` is not what was said, for the user; '' where it is."""
    if self.tags:
      names = ', '.join(repr(tag) for tag in dict.fromkeys(self.tags))
      return (
        f'the transcript has {names}; want it corrected, or in '
        'config.data.drop_tags.'
      )
    if not self.lost:
      return ''
    distinct = dict.fromkeys(self.unspelled)
    shown = ', '.join(repr(each) for each in [*distinct][:_NUM_SHOWN])
    more = ', ...' if len(distinct) > _NUM_SHOWN else ''
    hint = ' (config.data.numbers=spell spells numbers)'
    return (
      f'the transcript has {shown}{more}, not in the alphabet'
      f'{hint if self.has_number else ""}.'
    )


def spelled(
  raw: str, data: config.DataConfig, alphabet: alphabets.Alphabet
) -> Transcript:
  """Tags dropped, numbers spelled, the rest by `alphabet.normalize`.

  What matches an entry of `data.drop_tags` is dropped as if it were a space,
  whatever its case; `*` in an entry is any text without brackets. Other text
  in square, angle or curly brackets is a tag that makes a transcript unusable.
  Idempotent in `text`.

  Raises:
    MissingPackageError: as `check`.
  """
  for pattern in map(_pattern, data.drop_tags):
    raw = pattern.sub(' ', raw)
  tags = tuple(_TAG.findall(raw))
  raw = _TAG.sub(' ', raw)
  is_spelling = data.numbers is config.Numbers.SPELL
  if is_spelling:
    raw = spoken_numbers.spelled(raw, data.numbers_language)
  said = alphabet.normalize(raw)
  return Transcript(
    *said,
    tags=tags,
    unspelled=_unspelled(alphabet.composed(raw), said.lost)
    if said.lost
    else (),
    has_number=not is_spelling and spoken_numbers.has_number(raw),
  )


def check(data: config.DataConfig) -> None:
  """Raises `MissingPackageError` if numbers are to be spelled and cannot be."""
  if data.numbers is config.Numbers.SPELL:
    spoken_numbers.check(data.numbers_language)


def _unspelled(raw: str, lost: str) -> tuple[str, ...]:
  """Of each word that loses any, from the first such character to the last."""
  stretches = []
  for word in raw.split():
    places = [i for i, character in enumerate(word) if character in lost]
    if places:
      stretches.append(word[places[0] : places[-1] + 1])
  return tuple(stretches)


@functools.lru_cache(maxsize=256)
def _pattern(entry: str) -> re.Pattern[str]:
  """An entry of letters is a whole word: 'uh' is not in 'duh'."""
  body = re.escape(entry).replace(r'\*', r'[^][<>{}()]*')
  return re.compile(rf'(?:(?<!\w)|(?!\w)){body}(?:(?!\w)|(?<!\w))', re.I)
