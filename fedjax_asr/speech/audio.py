"""Audio files to mono waveforms: any rate, channels and format that is read.

libsndfile decodes them, or, what it does not read, `container`.

A file is read to its end, whatever its header says, or refused: what `read`
returns is finite, not empty, and no shorter than the header promises. Streams
that are joined in a file, as in chained Ogg, are read one after another.
"""

import contextlib
import math
import pathlib
import re
import typing
from collections.abc import Generator, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float, Float32

from fedjax_asr import config
from fedjax_asr.speech import (
  container,
  encoded,
  file_part,
  flac,
  formats,
  mpeg,
  ogg,
  resampling,
  riff,
  spliced,
)

# Peak under which there is nothing to hear: -80 dB of full scale.
SILENCE = 1e-4
# Of the channels' peak, what is left of them where they cancel out: -60 dB.
_CANCELLED = 1e-3
_BLOCK_FRAMES = 1 << 18
# Frames libsndfile reports where the header does not say.
_UNKNOWN_FRAMES = 2**63 - 1
# libsndfile shortens a truncated WAV, AIFF, AU, CAF, W64 or RF64 in silence;
# its log alone tells.
_SHORTENED = re.compile(
  r'^\s*(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)',
  re.MULTILINE,
)
# Writers to a pipe leave a size from here on in the header of a WAV.
_UNKNOWN_SIZE = 2**31 - 2**16
_NO_SAMPLES = 'empty, holds no samples.'

_Path = file_part.Path


class AudioError(config.UserError):
  """A file that cannot be used; the message is `path: reason.`"""


class TooLongError(AudioError):
  """A file that is longer than may be read."""


def read(
  path: _Path, sample_rate: int, max_seconds: float = math.inf
) -> Float32[np.ndarray, 'samples']:
  """The mean over channels of a file, resampled to `sample_rate` (Hz).

  Full scale is 1. All samples are finite and there is at least one. Blocks in
  which channels cancel out within 60 dB are zeros, and a constant stays one.

  Raises:
    TooLongError: the file is longer than `max_seconds`, which its header
      decides before anything is decoded; no more than that is ever held.
    AudioError: the file is missing, not audio, truncated, empty, or holds NaN
      or infinities.
  """
  waveforms, seconds = [], 0.0
  with contextlib.closing(_sounds(path)) as sounds:
    for sound in sounds:
      if seconds + sound.seconds > max_seconds:
        raise too_long(path, max_seconds)
      blocks = []
      for block in sound.blocks():
        seconds += len(block) / sound.sample_rate
        if seconds > max_seconds:
          raise too_long(path, max_seconds)
        blocks.append(block)
      if blocks:
        waveform = np.concatenate(blocks)
        waveforms.append(_resampled(sound, waveform, sample_rate))
  if not waveforms:
    raise AudioError(f'{path}: {_NO_SAMPLES}')
  return np.concatenate(waveforms)


def stream(path: _Path, sample_rate: int) -> Iterator[Float32[np.ndarray, '_']]:
  """`read` in blocks, for a recording of any length.

  Joined, they are what `read` gives, but for a sample more or less at the end;
  what is wrong with a file may only show after its first blocks.

  Raises:
    AudioError: as `read`.
  """
  import soxr  # Here, because few who read audio resample it in blocks.

  is_empty = True
  with contextlib.closing(_sounds(path)) as sounds:
    for sound in sounds:
      resampler = soxr.ResampleStream(
        sound.sample_rate, sample_rate, 1, dtype='float32', quality='HQ'
      )
      convert, level = resampler.resample_chunk, None
      if sound.sample_rate == sample_rate:
        convert, level = _unchanged, np.float32(0)
      for block in sound.blocks():
        is_empty = False
        _check_finite(path, block)
        level = _level(block) if level is None else level
        yield level + convert(block - level)
      yield (level or 0) + convert(np.zeros(0, np.float32), last=True)
  if is_empty:
    raise AudioError(f'{path}: {_NO_SAMPLES}')


def _unchanged(
  block: Float32[np.ndarray, '_'], last: bool = False
) -> Float32[np.ndarray, '_']:
  del last
  return block


def duration(path: _Path) -> float:
  """Seconds; decoded only where no header tells them.

  Raises:
    AudioError: the file is missing, not audio, or cut short.
  """
  seconds = 0.0
  with contextlib.closing(_sounds(path)) as sounds:
    for sound in sounds:
      num_samples = sound.promised
      if num_samples is None:
        num_samples = sum(map(len, sound.blocks()))
      seconds += num_samples / sound.sample_rate
  return seconds


def sample_rate(path: _Path) -> int:
  """Hz, of the first of its streams; nothing is decoded for that.

  Raises:
    AudioError: as `duration`.
  """
  with _opened(path) as file, contextlib.suppress(soundfile.LibsndfileError):
    # Without a search for streams, which takes a third of what decoding does.
    file.seek(0)
    with _Decoder(file) as decoder:
      return decoder.samplerate
  with contextlib.closing(_sounds(path)) as sounds:
    return next(sounds).sample_rate


def promised_seconds(path: _Path) -> float | None:
  """Seconds by the headers alone; None where one does not tell.

  Raises:
    AudioError: as `duration`.
  """
  seconds = 0.0
  with contextlib.closing(_sounds(path)) as sounds:
    for sound in sounds:
      if sound.promised is None:
        return None
      seconds += sound.seconds
  return seconds


def is_silent(waveform: Float32[np.ndarray, ' samples']) -> bool:
  """Whether there is nothing to hear.

  That is where no sample is `SILENCE` away from 0, or from any other: a
  constant is no sound. Channels that cancel out within 60 dB are zeros here,
  since `read` and `stream` make them so.
  """
  if not len(waveform):
    return True
  low, high = float(waveform.min()), float(waveform.max())
  return max(abs(low), abs(high)) < SILENCE or high - low < SILENCE


def too_long(
  path: _Path, max_seconds: float, offset: float = 0.0
) -> TooLongError:
  """Of a file that goes on for more than `max_seconds` from `offset` on.

  Says for how long where the headers tell, never where reading stopped.
  """
  seconds = (promised_seconds(path) or 0.0) - offset
  found = f'{seconds:.2f} s'
  if seconds <= max_seconds:
    found = f'over {max_seconds:g} s'
  return TooLongError(
    f'{path}: too long, {found}; want at most {max_seconds:g} s.'
  )


class _Decoder(soundfile.SoundFile):
  """Read from the start to the end, without a seek after each block."""

  def seekable(self) -> bool:
    return False


class _Sound(NamedTuple):
  """An open stream of a file."""

  path: _Path
  decoder: _Decoder
  promised: int | None  # Samples of a channel by the header, if it tells.

  @property
  def sample_rate(self) -> int:
    return self.decoder.samplerate

  @property
  def seconds(self) -> float:
    return (self.promised or 0) / self.sample_rate

  def blocks(self) -> Iterator[Float32[np.ndarray, '_']]:
    """Means over channels, once.

    Blockwise, so that a header that lies cannot claim the memory; and up to
    what is promised first, because no error behind that is one of the sound.
    """
    num_read, promised = 0, self.promised or 0
    try:
      while True:
        size = min(max(promised - num_read, 0) or _BLOCK_FRAMES, _BLOCK_FRAMES)
        block = self.decoder.read(size, 'float32', always_2d=True)
        if not len(block):
          break
        num_read += len(block)
        yield _mixed(block)
    except soundfile.LibsndfileError as error:
      if not promised or num_read < promised:
        raise AudioError(f'{self.path}: truncated or damaged.') from error
    if num_read < promised:
      raise AudioError(
        f'{self.path}: truncated, {num_read} samples of the {promised} '
        'promised.'
      )


class _Contained(NamedTuple):
  """An open recording of a container, used as `_Sound` is."""

  path: _Path
  recording: container.Recording

  @property
  def promised(self) -> int | None:
    return self.recording.promised

  @property
  def sample_rate(self) -> int:
    return self.recording.sample_rate

  @property
  def seconds(self) -> float:
    return (self.promised or 0) / self.sample_rate

  def blocks(self) -> Iterator[Float32[np.ndarray, '_']]:
    try:
      for block in self.recording.blocks(_BLOCK_FRAMES):
        yield _mixed(block)
    except encoded.DamagedError as error:
      raise AudioError(f'{self.path}: {error}.') from error


def _mixed(block: Float32[np.ndarray, 'samples _']) -> Float32[np.ndarray, '_']:
  """The mean over channels; zeros where only a remainder of them is left."""
  mean = block.mean(axis=1)
  if np.abs(mean).max() < _CANCELLED * np.abs(block).max():
    return np.zeros_like(mean)
  return mean


def _sounds(path: _Path) -> Generator[_Sound | _Contained]:
  """The streams of a file in order, each open until the next is asked for."""
  with _opened(path) as file:
    if formats.is_decoded(pathlib.Path(str(path))):
      yield from _contained(path, file)
      return
    try:
      streams = _streams(file)
    except encoded.DamagedError as error:
      raise AudioError(f'{path}: {error}.') from None
    for each in streams:
      with _decoder(path, file, each) as decoder:
        yield _Sound(path, decoder, _promised(path, decoder, each))


def _contained(path: _Path, file: BinaryIO) -> Iterator[_Contained]:
  with contextlib.ExitStack() as stack:
    try:
      recording = stack.enter_context(container.opened(file))
    except encoded.DamagedError as error:
      raise AudioError(f'{path}: {error}.') from error
    yield _Contained(path, recording)


@contextlib.contextmanager
def _opened(path: _Path) -> Iterator[BinaryIO]:
  """The file, which holds something."""
  with contextlib.ExitStack() as stack:
    try:
      file = stack.enter_context(file_part.opened(path))
    except OSError as error:
      raise AudioError(f'{path}: {error.strerror}.') from error
    if not encoded.size(file):
      raise AudioError(f'{path}: empty, holds no bytes.')
    yield file


def _streams(file: BinaryIO) -> list[encoded.Stream]:
  """What libsndfile is to decode, by the bytes that the file starts with."""
  start, size = mpeg.tags_end(file), encoded.size(file)
  marker = encoded.peek(file, start, 4)
  if marker == ogg.MARKER:
    return ogg.streams(file, start)
  if marker == flac.MARKER:
    return flac.streams(file, start, size)
  if marker == riff.MARKER and not start:
    return riff.streams(file, size)
  found = []
  if start or mpeg.is_frame(file, start):
    found = mpeg.streams(file, start)
  return found or [encoded.Stream([spliced.Stretch(0, size)], None)]


def _decoder(path: _Path, file: BinaryIO, stream: encoded.Stream) -> _Decoder:
  try:
    pieces = spliced.SplicedFile(file, stream.pieces)
    return _Decoder(typing.cast(BinaryIO, pieces))
  except soundfile.LibsndfileError as error:
    reason = 'not audio, or in a format that libsndfile does not read'
    if formats.ending(pathlib.Path(str(path))) in formats.OTHER:
      reason = f'libsndfile does not read its format; {formats.ADVICE}'
    raise AudioError(f'{path}: {reason}.') from error


def _promised(
  path: _Path, decoder: _Decoder, stream: encoded.Stream
) -> int | None:
  """Raises where the container is cut short, for those that can tell."""
  for promised, present in _SHORTENED.findall(decoder.extra_info):
    if int(present) < int(promised) < _UNKNOWN_SIZE:
      raise AudioError(
        f'{path}: truncated, {present} bytes of the {promised} promised.'
      )
  if stream.promised is not None:
    return stream.promised or None
  return None if decoder.frames == _UNKNOWN_FRAMES else decoder.frames


def _check_finite(path: _Path, waveform: Float[np.ndarray, 'samples']) -> None:
  if not np.isfinite(waveform).all():
    raise AudioError(f'{path}: holds NaN or infinite samples.')


def _level(block: Float32[np.ndarray, '_']) -> np.float32:
  """Of a sound by its first block: what the filter is to find around it."""
  return block[0] if is_silent(block) else np.float32(0)


def _resampled(
  sound: _Sound | _Contained,
  waveform: Float[np.ndarray, 'samples'],
  sample_rate: int,
) -> Float32[np.ndarray, 'resampled']:
  _check_finite(sound.path, waveform)
  if sound.sample_rate == sample_rate:
    return waveform
  level = _level(waveform[:_BLOCK_FRAMES])
  waveform = level + resampling.resampled(
    waveform - level, sound.sample_rate, sample_rate
  )
  _check_finite(sound.path, waveform)  # Again: the filter can overflow.
  return waveform
