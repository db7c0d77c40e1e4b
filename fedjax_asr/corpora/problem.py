"""What is wrong with an utterance, or with a line of a corpus's files."""

import enum
from typing import NamedTuple


class Kind(enum.StrEnum):
  BAD_LINE = 'bad_line'
  BAD_NAME = 'bad_name'
  DUPLICATE_ID = 'duplicate_id'
  MISSING_FILE = 'missing_file'
  NO_TRANSCRIPT = 'no_transcript'
  UNREADABLE = 'unreadable'
  WRONG_WIDTH = 'wrong_width'
  TOO_LONG = 'too_long'
  TOO_SHORT = 'too_short'
  EMPTY_TRANSCRIPT = 'empty_transcript'
  OTHER_ALPHABET = 'other_alphabet'
  UNKNOWN_TAG = 'unknown_tag'
  UNSPELLED = 'unspelled'
  # Warnings: the utterance is kept.
  DROPPED_CHARACTERS = 'dropped_characters'
  NO_SPEAKER = 'no_speaker'
  ODD_DURATION = 'odd_duration'


WARNINGS = frozenset(
  {Kind.DROPPED_CHARACTERS, Kind.NO_SPEAKER, Kind.ODD_DURATION}
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
