"""Recordings that libsndfile does not read, by PyAV: M4A, WebM and others.

PyAV, which brings FFmpeg, is the extra `formats`. What a codec puts before the
sound is left out where the container tells.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32

from fedjax_asr.speech import encoded

_MATROSKA = b'\x1a\x45\xdf\xa3'
_SEGMENT = b'\x18\x53\x80\x67'
_HEADER_BYTES = 4 + 8
# Seconds by which a header may claim more than there is, for codecs' padding.
_PADDING = 0.1
_DAMAGED = 'truncated or damaged'


class Recording:
  """The first audio stream of a container."""

  sample_rate: int
  promised: int | None  # Samples of a channel by the header, if it tells.

  def __init__(self, container: Any, stream: Any):
    """Raises DamagedError where nothing can be decoded."""
    frames = _frames(container, stream)
    # What a header says of the rate may be half of it.
    first = next(frames, None)
    if first is None:
      raise encoded.DamagedError('empty, holds no samples')
    self.sample_rate = first.sample_rate
    seconds = _promised_seconds(container, stream)
    self.promised = round(seconds * self.sample_rate) or None
    self._frames = itertools.chain([first], frames)

  def blocks(self, size: int) -> Iterator[Float32[np.ndarray, '_ channels']]:
    """All samples, once, in blocks of `size` at least but for the last.

    Raises:
      DamagedError: something cannot be decoded, or is missing.
    """
    import av.error

    resampler = av.AudioResampler(format='fltp', rate=self.sample_rate)
    held, num_held, num_read = [], 0, 0
    try:
      for frame in itertools.chain(self._frames, [None]):
        for part in resampler.resample(frame):
          held.append(part.to_ndarray())
          num_held += part.samples
        if num_held >= size:
          num_read += num_held
          yield np.concatenate(held, axis=1).T
          held, num_held = [], 0
    except (av.error.FFmpegError, ValueError) as error:
      raise encoded.DamagedError(_DAMAGED) from error
    if held:
      num_read += num_held
      yield np.concatenate(held, axis=1).T
    promised = self.promised or 0
    if num_read < promised - _PADDING * self.sample_rate:
      raise encoded.DamagedError(
        f'truncated, {num_read} samples of the {promised} promised'
      )


@contextlib.contextmanager
def opened(file: BinaryIO) -> Iterator[Recording]:
  """Its recording; the package `av` has to be there.

  Raises:
    DamagedError: the file is cut off, or there is no sound in it.
  """
  import av.error  # Here, because it is optional.

  _check_whole(file)
  file.seek(0)
  with contextlib.ExitStack() as stack:
    try:
      container = stack.enter_context(av.open(file, 'r'))
    # A ValueError where a title is not UTF-8, by older versions.
    except (av.error.FFmpegError, ValueError) as error:
      reason = f'{_DAMAGED}, or in no format that FFmpeg reads'
      raise encoded.DamagedError(reason) from error
    if not container.streams.audio:
      raise encoded.DamagedError('no sound in it')
    yield Recording(container, container.streams.audio[0])


def _frames(container: Any, stream: Any) -> Iterator[Any]:
  import av.error

  try:
    for packet in container.demux(stream):
      if packet.is_corrupt:
        raise encoded.DamagedError(_DAMAGED)
      yield from packet.decode()
  except av.error.FFmpegError as error:
    raise encoded.DamagedError(_DAMAGED) from error


def _promised_seconds(container: Any, stream: Any) -> float:
  """0 where no header tells: what others say is guessed from their sizes."""
  names = container.format.name.split(',')
  if 'mp4' in names and stream.duration:
    return float(stream.duration * stream.time_base)
  # Of the longest stream, so that it tells only where there is one.
  if 'matroska' in names and container.duration and len(container.streams) == 1:
    return container.duration / 1e6
  return 0.0


def _check_whole(file: BinaryIO) -> None:
  """Raises where WebM or Matroska is shorter than it says, if it does."""
  if encoded.peek(file, 0, 4) != _MATROSKA:
    return
  header = encoded.peek(file, 4, 8)
  size, length = _number(header)
  start = 4 + length + size
  if math.isinf(start):
    return
  segment = encoded.peek(file, int(start), _HEADER_BYTES)
  if segment[:4] != _SEGMENT:
    return
  size, length = _number(segment[4:])
  if start + 4 + length + size > encoded.size(file) and not math.isinf(size):
    raise encoded.DamagedError('truncated, it ends before it says')


def _number(content: bytes) -> tuple[float, int]:
  """A size in EBML (RFC 8794) and its length; infinite where it is unknown."""
  if not content or not content[0]:
    return math.inf, 0
  length = 9 - content[0].bit_length()
  bits = 7 * length
  value = int.from_bytes(content[:length], 'big') & (1 << bits) - 1
  return (math.inf if value == (1 << bits) - 1 else value), length
