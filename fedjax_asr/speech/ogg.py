"""The links of an Ogg file: streams chained one after another (RFC 3533)."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fedjax_asr.speech import encoded, spliced

MARKER = b'OggS'
_HEADER_BYTES = 27
_FLAGS = 5
_BEGIN_OF_STREAM, _END_OF_STREAM = 2, 4
_SEARCHED_BYTES = 1 << 16
_CHECKSUM = slice(22, 26)
_POLYNOMIAL = 0x104C11DB7


class _Page(NamedTuple):
  start: int
  stop: int
  begins_stream: bool
  is_packet_open: bool  # The last packet goes on in another page.


def streams(file: BinaryIO, start: int) -> list[encoded.Stream]:
  """The links from byte `start` on.

  The flag that ends a stream may be missing, as recorders leave it that are
  stopped.

  Raises:
    DamagedError: the last page or packet of a link is not whole.
  """
  links: list[list[_Page]] = []  # The first page and the last one.
  begins = False
  for page in _pages(file, start):
    # All streams of a link begin before anything else comes.
    if page.begins_stream and not begins:
      links.append([page, page])
    elif links:
      links[-1][1] = page
    begins = page.begins_stream
  if not links:
    raise encoded.DamagedError('damaged, without the start of an Ogg stream')
  return [_stream(file, *ends) for ends in links]


def _stream(file: BinaryIO, first: _Page, last: _Page) -> encoded.Stream:
  if last.stop > encoded.size(file):
    raise encoded.DamagedError('truncated, its last Ogg page is cut')
  if last.is_packet_open:
    raise encoded.DamagedError('truncated, its last Ogg page is missing')
  content = encoded.peek(file, last.start, last.stop - last.start)
  # A damaged page is passed over by libogg; others leave a gap, which shows.
  if content[_CHECKSUM] != _checksum(content):
    raise encoded.DamagedError('damaged, its last Ogg page is not as written')
  return encoded.Stream(
    [spliced.Stretch(first.start, last.start), _ending(content)], None
  )


def _ending(page: bytes) -> bytes:
  """The page with the flag that ends a stream, without which Opus is
  refused by libsndfile."""
  flags = bytes([page[_FLAGS] | _END_OF_STREAM])
  page = page[:_FLAGS] + flags + page[_FLAGS + 1 :]
  return page[: _CHECKSUM.start] + _checksum(page) + page[_CHECKSUM.stop :]


def _checksum(page: bytes) -> bytes:
  """Of a page with zeros in its place."""
  crc = 0
  for byte in page[: _CHECKSUM.start] + bytes(4) + page[_CHECKSUM.stop :]:
    crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC_TABLE[crc >> 24 ^ byte]
  return crc.to_bytes(4, 'little')


def _crc(byte: int) -> int:
  value = byte << 24
  for _ in range(8):
    value = value << 1 ^ (_POLYNOMIAL if value >> 31 else 0)
  return value


_CRC_TABLE = [_crc(byte) for byte in range(256)]


def _pages(file: BinaryIO, start: int) -> Iterator[_Page]:
  """Pages in order; bytes between them are passed over."""
  position = start
  while True:
    header = encoded.peek(file, position, _HEADER_BYTES + 255)
    if not header.startswith(MARKER):
      position = _next_marker(file, position)
      if position < 0:
        return
      continue
    sizes = header[_HEADER_BYTES:][: header[26] if len(header) > 26 else 0]
    is_header_whole = len(header) > 26 and len(sizes) == header[26]
    stop = position + _HEADER_BYTES + len(sizes) + sum(sizes)
    yield _Page(
      start=position,
      stop=stop if is_header_whole else position + len(header) + 1,
      begins_stream=bool(
        header[_FLAGS:][:1] and header[_FLAGS] & _BEGIN_OF_STREAM
      ),
      is_packet_open=sizes.endswith(b'\xff'),
    )
    position = stop


def _next_marker(file: BinaryIO, start: int) -> int:
  """Where the next page may start after `start`; -1 for nowhere."""
  while True:
    searched = encoded.peek(file, start, _SEARCHED_BYTES)
    place = searched.find(MARKER, 1)
    if place >= 0:
      return start + place
    if len(searched) <= len(MARKER):
      return -1
    start += len(searched) - len(MARKER)
