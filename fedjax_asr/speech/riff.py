"""The streams of a WAV file, which may be several joined."""

from typing import BinaryIO

from fedjax_asr.speech import encoded, spliced

MARKER = b'RIFF'
_HEADER_BYTES = 12


def streams(file: BinaryIO, stop: int) -> list[encoded.Stream]:
  """WAV files one after another; the last one goes on to byte `stop`."""
  starts, place = [0], _end(file, 0)
  while place is not None and _end(file, place) is not None:
    starts.append(place)
    place = _end(file, place)
  return [
    encoded.Stream([spliced.Stretch(*ends)], None)
    for ends in zip(starts, [*starts[1:], stop], strict=True)
  ]


def _end(file: BinaryIO, start: int) -> int | None:
  """Where the WAV file that starts there says that it ends, if one does."""
  header = encoded.peek(file, start, _HEADER_BYTES)
  if header[:4] != MARKER or header[8:] != b'WAVE':
    return None
  size = int.from_bytes(header[4:8], 'little')
  return start + 8 + size + size % 2
