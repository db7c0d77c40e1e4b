"""Samples from a pipe: a WAV that is still being written, or raw PCM.

libsndfile wants files that it can seek in. Of a WAV, sizes in the header that a
writer to a pipe cannot know yet (0, or 2 GB and more) are ignored; others are a
promise, and a stream that ends before is cut short.
"""

import io
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fedjax_asr.speech import audio

# Bytes that are taken at most at once, and never waited for.
_READ_BYTES = 1 << 16
_UNKNOWN_SIZE = 2**31 - 2**16
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


class _Form(NamedTuple):
  """How samples are written; size: of one, in bytes."""

  sample_rate: int
  num_channels: int
  size: int
  decoded: Callable[[bytes], np.ndarray]


def blocks(
  file: io.BufferedIOBase,
  sample_rate: int,
  raw_rate: int = 0,
  name: str = 'input',
) -> Iterator[Float32[np.ndarray, '_']]:
  """Means over channels at `sample_rate` (Hz), as they come; full scale is 1.

  `raw_rate`: of raw PCM, 16 bits, little-endian, one channel; 0: a WAV.

  Raises:
    AudioError: no sample came, it is neither, samples are NaN, or the stream
      ends before what was promised or within a sample. That is said after all
      whole samples were given.
  """
  form, promised, started = _opened(file, raw_rate, name)
  return _converted(
    _mono(file, form, promised, started, name), form.sample_rate, sample_rate
  )


def _opened(
  file: io.BufferedIOBase, raw_rate: int, name: str
) -> tuple[_Form, int | None, bytes]:
  """The form, the bytes promised, and those read of them already."""
  marker = file.read(4)
  if not marker:
    raise audio.AudioError(f'{name}: empty, holds no bytes.')
  if raw_rate:
    if marker == b'RIFF':
      raise audio.AudioError(
        f'{name}: a WAV; want config.transcribe.raw_rate=0 for it.'
      )
    return _Form(raw_rate, 1, 2, _of_int16), None, marker
  if marker != b'RIFF' or file.read(8)[4:] != b'WAVE':
    raise audio.AudioError(
      f'{name}: no WAV; want one, or raw PCM of 16 bits with its rate as '
      'config.transcribe.raw_rate.'
    )
  form, promised = _header(file, name)
  return form, promised, b''


def _header(file: io.BufferedIOBase, name: str) -> tuple[_Form, int | None]:
  """Up to the first byte of the samples."""
  form = None
  while True:
    start = file.read(8)
    if len(start) < 8:
      raise audio.AudioError(f'{name}: truncated, ends within its header.')
    kind, size = struct.unpack('<4sI', start)
    if kind == b'data':
      break
    body = file.read(size + size % 2)
    if kind == b'fmt ':
      form = _form(body, name)
  if form is None:
    raise audio.AudioError(f'{name}: a WAV without a format; want one.')
  return form, size if 0 < size < _UNKNOWN_SIZE else None


def _form(body: bytes, name: str) -> _Form:
  if len(body) < 16:
    raise audio.AudioError(f'{name}: truncated, ends within its header.')
  tag, channels, rate, _, _, bits = struct.unpack('<HHIIHH', body[:16])
  if tag == _EXTENSIBLE and len(body) >= 26:
    (tag,) = struct.unpack('<H', body[24:26])
  decoded = _DECODED.get((tag, bits))
  if decoded is None or not channels or not rate:
    raise audio.AudioError(
      f'{name}: a WAV of format {tag}, {bits} bits, {channels} channels, '
      f'{rate} Hz; want PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64.'
    )
  return _Form(rate, channels, bits // 8, decoded)


def _of_int16(data: bytes) -> np.ndarray:
  return np.frombuffer(data, '<i2').astype(np.float32) / 2**15


def _of_uint8(data: bytes) -> np.ndarray:
  return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 2**7


def _of_int24(data: bytes) -> np.ndarray:
  """Each with a byte of zeros below it is one of 32 bits."""
  wide = np.zeros((len(data) // 3, 4), np.uint8)
  wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
  return _of_int32(wide.tobytes())


def _of_int32(data: bytes) -> np.ndarray:
  return (np.frombuffer(data, '<i4') / 2**31).astype(np.float32)


def _of_float32(data: bytes) -> np.ndarray:
  return np.frombuffer(data, '<f4')


def _of_float64(data: bytes) -> np.ndarray:
  return np.frombuffer(data, '<f8').astype(np.float32)


_DECODED = {
  (_PCM, 8): _of_uint8,
  (_PCM, 16): _of_int16,
  (_PCM, 24): _of_int24,
  (_PCM, 32): _of_int32,
  (_FLOAT, 32): _of_float32,
  (_FLOAT, 64): _of_float64,
}


def _mono(
  file: io.BufferedIOBase,
  form: _Form,
  promised: int | None,
  started: bytes,
  name: str,
) -> Iterator[Float32[np.ndarray, '_']]:
  step, waiting, num_read = form.size * form.num_channels, started, len(started)
  # What is there, not as much as is asked for: words are not to wait.
  while promised is None or num_read < promised:
    left = _READ_BYTES if promised is None else promised - num_read
    data = file.read1(min(_READ_BYTES, left))
    if not data:
      break
    num_read += len(data)
    waiting += data
    whole = len(waiting) // step * step
    samples = form.decoded(waiting[:whole])
    waiting = waiting[whole:]
    if not np.isfinite(samples).all():
      raise audio.AudioError(f'{name}: holds NaN or infinite samples.')
    if whole:
      yield samples.reshape(-1, form.num_channels).mean(1)
  if waiting:
    raise audio.AudioError(
      f'{name}: cut within a sample, {len(waiting)} of {step} bytes.'
    )
  if promised is not None and num_read < promised:
    raise audio.AudioError(
      f'{name}: truncated, {num_read} bytes of the {promised} promised.'
    )
  if not num_read:
    raise audio.AudioError(f'{name}: empty, holds no samples.')


def _converted(
  waveforms: Iterator[Float32[np.ndarray, '_']], source: int, target: int
) -> Iterator[Float32[np.ndarray, '_']]:
  """At the other rate; what was given before an error is given whole."""
  if source == target:
    yield from waveforms
    return
  import soxr  # Here, because few streams are resampled.

  resampler = soxr.ResampleStream(
    source, target, 1, dtype='float32', quality='HQ'
  )
  failure = None
  try:
    for waveform in waveforms:
      yield resampler.resample_chunk(waveform)
  except audio.AudioError as error:
    failure = error
  yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
  if failure is not None:
    raise failure
