"""The streams of an MP3 file, found by going from frame to frame.

A frame's header tells its size (ISO/IEC 11172-3, 2.4.1.3), and tags between
frames tell theirs. How many frames there are is only said by an encoder that
adds a frame of its own for it ('Xing' or 'Info'); of others libsndfile takes a
guess from the first frame and the size of the file. So each stream is given
such a frame here, with the number that was counted.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fedjax_asr.speech import encoded, spliced

# By bit rate index, in kbit/s: MPEG-1 layers I to III, MPEG-2 I and II / III.
_BIT_RATES = {
  (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
  (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
  (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
  (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
  (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_BIT_RATES[2, 3] = _BIT_RATES[2, 2]
# By version bits: 2.5, reserved, 2, 1.
_SAMPLE_RATES = (
  (11025, 12000, 8000),
  (),
  (22050, 24000, 16000),
  (44100, 48000, 32000),
)
# Bytes of a frame that are looked at: its header, the side information, and
# the marker with flags, frames and bytes.
_HEAD_BYTES = 4 + 32 + 16
# Frames in a row that are no chance finding.
_CHAIN = 4
_SEARCHED_BYTES = 1 << 16
_HAS_FRAMES, _HAS_BYTES = 1, 2
_TALLEST = 14  # The last bit rate index.


class _Format(NamedTuple):
  """What is the same for all frames of a stream."""

  version: int  # 3: MPEG-1; 2: MPEG-2; 0: MPEG-2.5.
  layer: int
  sample_rate: int
  is_mono: bool

  @property
  def samples(self) -> int:
    """Of a channel, in a frame."""
    if self.layer == 1:
      return 384
    return 576 if self.layer == 3 and self.version != 3 else 1152

  @property
  def side_bytes(self) -> int:
    """From the header of a frame of layer III to its data."""
    if self.version == 3:
      return 17 if self.is_mono else 32
    return 9 if self.is_mono else 17


class _Frame(NamedTuple):
  start: int
  stop: int
  format: _Format
  head: bytes

  @property
  def is_info(self) -> bool:
    """Whether it tells of the stream and holds no sound."""
    # A checksum takes the place of the first bytes, which are zeros.
    start = 4 if self.head[1] & 1 else 6
    marker = self.head[self._marker : self._marker + 4]
    is_empty = not any(self.head[start : self._marker])
    return marker in (b'Xing', b'Info') and is_empty

  def info(self, flag: int) -> int | None:
    """The number of frames or of bytes that an info frame tells, if it does."""
    place = self._place(flag)
    if place is None:
      return None
    return int.from_bytes(self.head[place : place + 4], 'big')

  @property
  def _marker(self) -> int:
    return 4 + self.format.side_bytes

  def _place(self, flag: int) -> int | None:
    flags = self._marker + 4
    if not self.head[flags + 3] & flag:
      return None
    has_both = flag == _HAS_BYTES and self.head[flags + 3] & _HAS_FRAMES
    return flags + (8 if has_both else 4)

  def told(self, file: BinaryIO, num_frames: int, num_bytes: int) -> bytes:
    """The bytes of an info frame, with these numbers where it has any."""
    content = bytearray(encoded.peek(file, self.start, self.stop - self.start))
    for flag, number in ((_HAS_FRAMES, num_frames), (_HAS_BYTES, num_bytes)):
      place = self._place(flag)
      if place is not None:
        content[place : place + 4] = number.to_bytes(4, 'big')
    return bytes(content)


class _Run:
  """Frames of one stream as they come, as stretches of the file."""

  def __init__(self, first: _Frame):
    self.format = first.format
    self._info = first if first.is_info else None
    self._first = first
    self._stretches: list[spliced.Stretch] = []
    self._num_frames = 0
    if self._info is None:
      self.add(first)

  def add(self, frame: _Frame) -> None:
    self._num_frames += 1
    stretch = spliced.Stretch(frame.start, frame.stop)
    if self._stretches and self._stretches[-1].stop == frame.start:
      stretch = spliced.Stretch(self._stretches.pop().start, frame.stop)
    self._stretches.append(stretch)

  def stream(self, file: BinaryIO) -> encoded.Stream:
    """Raises `DamagedError` where frames that were promised are missing."""
    if self.format.layer != 3:
      return encoded.Stream(
        self._stretches, self._num_frames * self.format.samples
      )
    num_bytes = sum(piece.stop - piece.start for piece in self._stretches)
    head = _info_frame(self._first.head, self.format, self._num_frames)
    if self._info is not None:
      promised = self._info.info(_HAS_FRAMES) or 0
      # Some encoders count the frame that tells the number.
      if promised > self._num_frames + 1:
        raise encoded.DamagedError(
          f'truncated, {self._num_frames} frames of the {promised} promised'
        )
      # What an encoder says of the padding at the end is not about others'.
      if promised and promised + 1 >= self._num_frames:
        info = self._info
        size = info.stop - info.start + num_bytes
        head = info.told(file, self._num_frames, size)
    return encoded.Stream([head, *self._stretches], None)


def streams(file: BinaryIO, start: int) -> list[encoded.Stream]:
  """The streams from byte `start` on; none where there are no frames.

  A new one starts at each frame that tells of its stream, and where the sample
  rate or the number of channels changes. What is no frame is left out.

  Raises:
    DamagedError: a stream has fewer frames than it says.
  """
  runs: list[_Run] = []
  for frame in _frames(file, start):
    if runs and frame.format == runs[-1].format and not frame.is_info:
      runs[-1].add(frame)
    else:
      runs.append(_Run(frame))
  return [run.stream(file) for run in runs]


def is_frame(file: BinaryIO, start: int) -> bool:
  """Whether frames start there."""
  frame = _frame(file, start)
  return frame is not None and _is_chained(file, frame)


def _frames(file: BinaryIO, start: int) -> Iterator[_Frame]:
  """Whole frames in order; tags and what else is between are passed over."""
  stop = encoded.size(file)
  before = None
  while start < stop:
    frame = _frame(file, start)
    is_expected = frame and before and frame.format == before.format
    if frame and (is_expected or _is_chained(file, frame)):
      if frame.stop > stop:
        return
      yield frame
      start, before = frame.stop, frame
    else:
      before = None
      start = _tag_end(file, start) or _next_sync(file, start)


def _frame(file: BinaryIO, start: int) -> _Frame | None:
  head = encoded.peek(file, start, _HEAD_BYTES)
  if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
    return None
  version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
  rate_index, bit_index = head[2] >> 2 & 3, head[2] >> 4
  if version == 1 or layer == 4 or rate_index == 3 or bit_index in (0, 15):
    return None
  form = _Format(
    version, layer, _SAMPLE_RATES[version][rate_index], head[3] >> 6 == 3
  )
  size = _size(form, bit_index, head[2] >> 1 & 1)
  return _Frame(start, start + size, form, head.ljust(_HEAD_BYTES, b'\0'))


def _size(form: _Format, bit_index: int, padding: int) -> int:
  rates = _BIT_RATES[1 if form.version == 3 else 2, form.layer]
  bits = rates[bit_index - 1] * 1000
  if form.layer == 1:
    return (12 * bits // form.sample_rate + padding) * 4
  return form.samples // 8 * bits // form.sample_rate + padding


def _is_chained(file: BinaryIO, frame: _Frame) -> bool:
  """Whether frames of its kind follow, or a tag or the end after some."""
  for _ in range(_CHAIN - 1):
    after = _frame(file, frame.stop)
    if after is None:
      rest = encoded.peek(file, frame.stop, 1)
      return not rest or _tag_end(file, frame.stop) is not None
    if after.format != frame.format:
      return False
    frame = after
  return True


def tags_end(file: BinaryIO) -> int:
  """Where the ID3 tags end that a file starts with; 0 where it has none."""
  start = 0
  while encoded.peek(file, start, 3) == b'ID3':
    stop = _tag_end(file, start)
    if stop is None:
      break
    start = stop
  return start


def _tag_end(file: BinaryIO, start: int) -> int | None:
  """Where the ID3 or APE tag ends that starts there; None if none does."""
  head = encoded.peek(file, start, 32)
  if head.startswith(b'ID3') and len(head) >= 10 and max(head[6:10]) < 128:
    size = sum(byte << 7 * i for i, byte in enumerate(reversed(head[6:10])))
    return start + 10 + size + (10 if head[5] & 16 else 0)
  if head.startswith(b'TAG'):
    return start + 128
  if head.startswith(b'APETAGEX') and len(head) == 32:
    # Its size is that of what follows its header; a footer has nothing.
    size = int.from_bytes(head[12:16], 'little') if head[23] & 32 else 0
    return start + 32 + size
  return None


def _next_sync(file: BinaryIO, start: int) -> int:
  """The next place after `start` that may start a frame or a tag."""
  while searched := encoded.peek(file, start + 1, _SEARCHED_BYTES):
    places = (searched.find(mark) for mark in (b'\xff', b'ID3'))
    found = [place for place in places if place >= 0]
    if found:
      return start + 1 + min(found)
    start += len(searched)
  return start + 1


def _info_frame(head: bytes, form: _Format, num_frames: int) -> bytes:
  """A frame of the stream's format that tells how many frames follow."""
  # Without a checksum, and as tall as can be: it has to hold the numbers.
  header = bytes(
    [head[0], head[1] | 1, _TALLEST << 4 | head[2] & 0x0C, head[3]]
  )
  content = header + bytes(form.side_bytes) + b'Info'
  content += _HAS_FRAMES.to_bytes(4, 'big') + num_frames.to_bytes(4, 'big')
  return content.ljust(_size(form, _TALLEST, 0), b'\0')
