"""Segments of recordings: stretches between two moments of a file.

A recording is decoded from its start, once for all of its segments that are
asked for in order and one after another: where a compressed file is entered in
its middle, samples are not those that they are from its start. What is held in
memory is one segment, which the caller bounds, and a block of what follows.
"""

import atexit
import functools
import math
import os

import numpy as np
from jaxtyping import Float32

from fedjax_asr.speech import audio

# A segment may end this many seconds before or after its file and is taken to
# end with it: durations are rounded, and those of codecs' padding differ.
TOLERANCE = 0.1

Waveform = Float32[np.ndarray, ' samples']


class SegmentError(audio.AudioError):
  """A segment that its file does not have."""


def read(
  path: str,
  sample_rate: int,
  offset: float,
  seconds: float,
  max_seconds: float = math.inf,
) -> Waveform:
  """So many seconds of a file from `offset` on, as `audio.read` gives them.

  0 seconds: up to the end of the file. A segment from 0 that is as long as the
  file, but for `TOLERANCE`, is the whole file.

  Raises:
    TooLongError: the segment is longer than `max_seconds`.
    SegmentError: it ends or starts behind the file's end; of one that is
      longer than `max_seconds`, only headers are asked for that.
    AudioError: as `audio.read`; damage behind the segment may go unnoticed.
  """
  is_whole = not offset and not seconds
  if not offset and seconds:
    is_whole = abs(audio.duration(path) - seconds) <= TOLERANCE
  if is_whole:
    return audio.read(path, sample_rate, max_seconds)
  if seconds > max_seconds:
    raise _too_long(path, offset, seconds, max_seconds)
  try:
    return _recording(path, _version(path), sample_rate).segment(
      offset, seconds, max_seconds
    )
  except OSError as error:
    raise audio.AudioError(f'{path}: {error.strerror}.') from error


def sample_rate(path: str) -> int:
  """Hz; looked up once for segments of one file that are read in order.

  Raises:
    AudioError: as `audio.sample_rate`.
  """
  try:
    return _sample_rate(path, _version(path))
  except OSError as error:
    raise audio.AudioError(f'{path}: {error.strerror}.') from error


@functools.lru_cache(maxsize=1)
def _sample_rate(path: str, version: tuple[int, int, int]) -> int:
  del version
  return audio.sample_rate(path)


def _too_long(
  path: str, offset: float, seconds: float, max_seconds: float
) -> audio.AudioError:
  """Of a segment that is not decoded, as far as headers tell what it is."""
  end = audio.promised_seconds(path)
  if end is not None and offset + seconds > end + TOLERANCE:
    return _beyond(path, end, offset + seconds)
  return audio.TooLongError(
    f'{path}: too long, {seconds:.2f} s; want at most {max_seconds:g} s.'
  )


def _beyond(path: str, end: float, wanted: float) -> SegmentError:
  return SegmentError(
    f'{path}: ends at {end:.2f} s; want a segment up to {wanted:.2f} s '
    '(offset + duration).'
  )


def _version(path: str) -> tuple[int, int, int]:
  found = os.stat(path)
  return found.st_ino, found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=1)
def _recording(
  path: str, version: tuple[int, int, int], sample_rate: int
) -> '_Recording':
  """The recording that is being read; `version` tells it from an older one."""
  del version
  return _Recording(path, sample_rate)


# soundfile closes a file twice that is still open when modules are torn down.
atexit.register(_recording.cache_clear)


class _Recording:
  """A file that is decoded as its segments are asked for.

  `self._held` is what is decoded from the sample `self._start` on: the last
  segment, which the next one may overlap, and the rest of a block.
  """

  def __init__(self, path: str, sample_rate: int):
    self._path = path
    self._sample_rate = sample_rate
    self._rewind()

  def segment(
    self, offset: float, seconds: float, max_seconds: float
  ) -> Waveform:
    rate = self._sample_rate
    start, spare = round(offset * rate), round(TOLERANCE * rate)
    self._go_to(start)
    if not seconds:
      self._hold(max_seconds * rate + 1)
      self._check_start(offset)
      if len(self._held) > max_seconds * rate:
        raise audio.too_long(self._path, max_seconds, offset)
      return self._held
    length = max(round((offset + seconds) * rate) - start, 1)
    # Beyond its end, for whether the file goes on.
    self._hold(length + spare + 1)
    self._check_start(offset)
    found = len(self._held)
    if found < length - spare:
      raise _beyond(self._path, offset + found / rate, offset + seconds)
    return self._held[: length if found > length + spare else found]

  def _rewind(self) -> None:
    self._blocks = audio.stream(self._path, self._sample_rate)
    self._held = np.zeros(0, np.float32)
    self._start = 0
    self._is_at_end = False
    self._error: audio.AudioError | None = None

  def _go_to(self, start: int) -> None:
    """Holds nothing from before this sample, or what the file's end is."""
    if start < self._start:
      self._rewind()
    while self._start + len(self._held) < start and not self._is_at_end:
      self._start += len(self._held)
      self._held = self._next_block()
    passed = min(start - self._start, len(self._held))
    self._held = self._held[passed:]
    self._start += passed

  def _hold(self, count: float) -> None:
    """Holds so many samples, or all up to the file's end."""
    while len(self._held) < count and not self._is_at_end:
      self._held = np.concatenate([self._held, self._next_block()])

  def _next_block(self) -> Waveform:
    """Raises what was raised before: a generator that has raised is over."""
    if self._error is not None:
      raise self._error
    try:
      return next(self._blocks)
    except StopIteration:
      self._is_at_end = True
      return np.zeros(0, np.float32)
    except audio.AudioError as error:
      self._error = error
      raise

  def _check_start(self, offset: float) -> None:
    if not len(self._held):
      end = self._start / self._sample_rate
      raise SegmentError(
        f'{self._path}: ends at {end:.2f} s; want an offset before that, not '
        f'{offset:.2f} s.'
      )
