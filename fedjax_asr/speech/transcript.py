"""From a transcript, as a corpus has it, to what was said in the alphabet.

The one way there: for training, references, language models and attacks.
"""

import functools
import re
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.speech import spoken_numbers, text

_TAG = re.compile(r'\[[^][]*\]|<[^<>]*>|\{[^{}]*\}')


class Transcript(NamedTuple):
  """What was said, and what of the transcript is not in it, in order.

  `text` is what was said, if nothing is `lost` and there are no `tags`.
  """

  text: str
  dropped: str  # Punctuation.
  lost: str  # Characters that are said and have no spelling.
  tags: tuple[str, ...]  # Such as '[noise]', where nothing says what of them.

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
    shown = ''.join(dict.fromkeys(self.lost))
    is_number = any(character.isdecimal() for character in shown)
    hint = ' (config.data.numbers=spell spells numbers)' if is_number else ''
    return f'the transcript has {shown!r}, not in the alphabet{hint}.'


def spelled(raw: str, data: config.DataConfig) -> Transcript:
  """Tags dropped, numbers spelled, the rest by `text.normalize`.

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
  if data.numbers is config.Numbers.SPELL:
    raw = spoken_numbers.spelled(raw)
  return Transcript(*text.normalize(raw), tags=tags)


def check(data: config.DataConfig) -> None:
  """Raises `MissingPackageError` if numbers are to be spelled and cannot be."""
  if data.numbers is config.Numbers.SPELL:
    spoken_numbers.check()


@functools.lru_cache(maxsize=256)
def _pattern(entry: str) -> re.Pattern[str]:
  """An entry of letters is a whole word: 'uh' is not in 'duh'."""
  body = re.escape(entry).replace(r'\*', r'[^][<>{}()]*')
  return re.compile(rf'(?:(?<!\w)|(?!\w)){body}(?:(?!\w)|(?<!\w))', re.I)
