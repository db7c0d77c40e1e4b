"""The streams of a FLAC file, which may be several joined (RFC 9639)."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from fedjax_asr.speech import encoded, spliced

MARKER = b'fLaC'
# With the header of STREAMINFO, which comes first: no such bytes turn up
# among samples by chance.
_START = re.compile(rb'fLaC[\x00\x80]\x00\x00\x22')
_START_BYTES = 8
# Bytes of a stream up to the number of its samples, 36 bits, and after it.
_BEFORE_LENGTH, _AFTER_LENGTH = 21, 26
_SEARCHED_BYTES = 1 << 20


def streams(file: BinaryIO, start: int, stop: int) -> list[encoded.Stream]:
  """The streams from byte `start` on.

  Their headers are made to say that the number of samples is not known, which
  is what `promised` is for; 0 there for a stream that was written to a pipe.
  """
  starts = list(_starts(file, start, stop))
  return [
    _stream(file, *ends)
    for ends in zip(starts, [*starts[1:], stop], strict=True)
  ]


def _stream(file: BinaryIO, start: int, stop: int) -> encoded.Stream:
  header = encoded.peek(file, start, _AFTER_LENGTH)
  length = int.from_bytes(header[_BEFORE_LENGTH:], 'big') & (2**36 - 1)
  unsaid = bytes([header[_BEFORE_LENGTH] & 0xF0, 0, 0, 0, 0])
  pieces = [
    header[:_BEFORE_LENGTH] + unsaid,
    spliced.Stretch(start + _AFTER_LENGTH, stop),
  ]
  return encoded.Stream(pieces, length)


def _starts(file: BinaryIO, start: int, stop: int) -> Iterator[int]:
  while start < stop:
    searched = encoded.peek(file, start, _SEARCHED_BYTES)
    for found in _START.finditer(searched):
      yield start + found.start()
    if len(searched) < _START_BYTES:
      return
    start += max(len(searched) - _START_BYTES + 1, 1)
