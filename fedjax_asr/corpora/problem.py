"""What is wrong with an utterance, or with a line of a corpus's files."""

import enum
import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from fedjax_asr.speech import formats


class Kind(enum.StrEnum):
  BAD_LINE = 'bad_line'
  BAD_NAME = 'bad_name'
  BAD_SEGMENT = 'bad_segment'
  BAD_SHARD = 'bad_shard'
  DUPLICATE_ID = 'duplicate_id'
  MISSING_FILE = 'missing_file'
  NO_TRANSCRIPT = 'no_transcript'
  OTHER_FORMAT = 'other_format'
  UNREADABLE = 'unreadable'
  WRONG_WIDTH = 'wrong_width'
  TOO_LONG = 'too_long'
  TOO_SHORT = 'too_short'
  SILENT = 'silent'
  EMPTY_TRANSCRIPT = 'empty_transcript'
  OTHER_ALPHABET = 'other_alphabet'
  UNKNOWN_TAG = 'unknown_tag'
  UNSPELLED = 'unspelled'
  RARE_SYMBOL = 'rare_symbol'
  # Warnings: the utterance is kept.
  DROPPED_CHARACTERS = 'dropped_characters'
  RARE_SYMBOLS = 'rare_symbols'
  NO_SPEAKER = 'no_speaker'
  NO_DURATION = 'no_duration'
  ODD_DURATION = 'odd_duration'
  SAMPLE_RATES = 'sample_rates'


WARNINGS = frozenset(
  {
    Kind.DROPPED_CHARACTERS,
    Kind.RARE_SYMBOLS,
    Kind.NO_SPEAKER,
    Kind.NO_DURATION,
    Kind.ODD_DURATION,
    Kind.SAMPLE_RATES,
  }
)


class Problem(NamedTuple):
  """One reason why an utterance is left out, or a warning about it."""

  utterance: str  # Its id; '' where it has none.
  source: str  # A path, with ':line' for a line of a file.
  kind: str
  reason: str

  @property
  def is_warning(self) -> bool:
    return self.kind in WARNINGS


def other_format(utterance: str, path: pathlib.Path) -> Problem:
  """Of a recording that is not read."""
  reason = f'{formats.ending(path)} is not read; {formats.ADVICE}.'
  return Problem(utterance, str(path), Kind.OTHER_FORMAT, reason)


def told(problems: Iterable[Problem]) -> list[str]:
  """Lines for a terminal: how many of each kind, and what concerns a corpus.

  None where there is no problem.
  """
  problems = list(problems)
  of_corpus = [
    each for each in problems if each.is_warning and not each.utterance
  ]
  lines = []
  for title, found in (
    ('bad utterances', [each for each in problems if not each.is_warning]),
    (
      'warnings',
      [each for each in problems if each.is_warning and each.utterance],
    ),
  ):
    counts = Counter(each.kind for each in found).most_common()
    if counts:
      listed = ', '.join(f'{count} {kind}' for kind, count in counts)
      lines.append(f'{title} by kind: {listed} (skipped_utterances.jsonl)')
  return lines + [
    f'warning: {each.source}: {each.reason}' for each in of_corpus
  ]
