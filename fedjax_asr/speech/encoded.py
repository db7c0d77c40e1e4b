"""The streams of an encoded file, and how long each claims to be.

libsndfile decodes the first stream of a file that holds several, and no more
of it than its header says. So a file is cut here into streams, each of which
libsndfile decodes to its end, and what headers say is kept apart.
"""

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from fedjax_asr.speech import spliced


class Stream(NamedTuple):
  """What libsndfile is given as one file."""

  pieces: Sequence[spliced.Piece]
  # Samples of a channel by the stream's header; None where libsndfile's own
  # count is that.
  promised: int | None


class DamagedError(Exception):
  """A file of which something is missing; says what."""


def size(file: BinaryIO) -> int:
  return file.seek(0, 2)


def peek(file: BinaryIO, start: int, count: int) -> bytes:
  file.seek(start)
  return file.read(count)
