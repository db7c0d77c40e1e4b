"""The streams of a WAV file, which may be several joined."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fedjax_asr.speech import encoded, spliced

MARKER = b'RIFF'
_HEADER_BYTES = 12
# What libsndfile takes for a size that is not known.
_TO_THE_END = b'\xff\xff\xff\xff'


class _Chunk(NamedTuple):
  """A part of a WAV file, with the byte that its content starts at."""

  name: bytes
  start: int
  size: int

  @property
  def stop(self) -> int:
    return self.start + self.size + self.size % 2


def streams(file: BinaryIO, stop: int) -> list[encoded.Stream]:
  """WAV files one after another; the last one goes on to byte `stop`."""
  starts, place = [0], _end(file, 0)
  while place is not None and _end(file, place) is not None:
    starts.append(place)
    place = _end(file, place)
  return [
    encoded.Stream(_pieces(file, *ends), None)
    for ends in zip(starts, [*starts[1:], stop], strict=True)
  ]


def _pieces(file: BinaryIO, start: int, stop: int) -> list[spliced.Piece]:
  """Of one WAV file; an interrupted recorder leaves a size of 0 before sound.

  What follows is sound, unless it is chunks up to the end.
  """
  for chunk in _chunks(file, start + _HEADER_BYTES, stop):
    if chunk.name != b'data':
      continue
    *_, last = [chunk, *_chunks(file, chunk.stop, stop)]
    if chunk.size or last.stop >= stop:
      break
    return [
      spliced.Stretch(start, chunk.start - len(_TO_THE_END)),
      _TO_THE_END,
      spliced.Stretch(chunk.start, stop),
    ]
  return [spliced.Stretch(start, stop)]


def _chunks(file: BinaryIO, place: int, stop: int) -> Iterator[_Chunk]:
  """Those from a byte on that have a name and end before `stop`."""
  while place + 8 <= stop:
    header = encoded.peek(file, place, 8)
    size = int.from_bytes(header[4:], 'little')
    chunk = _Chunk(header[:4], place + 8, size)
    is_named = all(0x20 <= byte < 0x7F for byte in chunk.name)
    if not is_named or chunk.start + size > stop:
      return
    yield chunk
    place = chunk.stop


def _end(file: BinaryIO, start: int) -> int | None:
  """Where the WAV file that starts there says that it ends, if one does."""
  header = encoded.peek(file, start, _HEADER_BYTES)
  if header[:4] != MARKER or header[8:] != b'WAVE':
    return None
  size = int.from_bytes(header[4:8], 'little')
  return start + 8 + size + size % 2
