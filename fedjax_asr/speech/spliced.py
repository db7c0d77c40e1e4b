"""Stretches of a file, and bytes in between, read as if they were one file."""

import bisect
import io
import itertools
import os
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple


class Stretch(NamedTuple):
  """The bytes of a file from `start` up to `stop`."""

  start: int
  stop: int


Piece = Stretch | bytes


class SplicedFile(io.RawIOBase):
  """Pieces of `file`, one after another; can be read and sought, not written.

  Holds nothing of the file in memory and does not close it.
  """

  def __init__(self, file: BinaryIO, pieces: Sequence[Piece]):
    super().__init__()
    self._file = file
    self._pieces = [piece for piece in pieces if _size(piece)]
    sizes = (_size(piece) for piece in self._pieces)
    # Where each piece starts; the size of all.
    self._starts = [0, *itertools.accumulate(sizes)]
    self._position = 0

  def readable(self) -> bool:
    return True

  def seekable(self) -> bool:
    return True

  def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
    origin = {
      os.SEEK_SET: 0,
      os.SEEK_CUR: self._position,
      os.SEEK_END: self._starts[-1],
    }[whence]
    self._position = max(origin + offset, 0)
    return self._position

  def readinto(self, buffer) -> int:
    """Fills the buffer but at the end; the number of bytes."""
    view = memoryview(buffer).cast('B')
    filled = 0
    while filled < len(view) and self._position < self._starts[-1]:
      read = self._read(len(view) - filled)
      if not read:
        break
      view[filled : filled + len(read)] = read
      filled += len(read)
      self._position += len(read)
    return filled

  def _read(self, count: int) -> bytes:
    """At most so many bytes, of one piece."""
    index = bisect.bisect_right(self._starts, self._position) - 1
    piece, done = self._pieces[index], self._position - self._starts[index]
    if isinstance(piece, bytes):
      return piece[done : done + count]
    self._file.seek(piece.start + done)
    return self._file.read(min(count, piece.stop - piece.start - done))


def _size(piece: Piece) -> int:
  if isinstance(piece, bytes):
    return len(piece)
  return piece.stop - piece.start
