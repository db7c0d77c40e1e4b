"""Audio files to mono waveforms: any rate, channels and format of libsndfile.

A file is read whole or refused: what `read` returns is finite, not empty, and
as long as the file's header promises.
"""

import contextlib
import math
import os
import re
from collections.abc import Iterator

import numpy as np
import soundfile
from jaxtyping import Float, Float32

from fedjax_asr import config
from fedjax_asr.speech import resampling

_BLOCK_FRAMES = 1 << 18
# Frames libsndfile reports where the header does not say, as a FLAC encoder
# that writes to a pipe leaves it.
_UNKNOWN_FRAMES = 2**63 - 1
# libsndfile shortens a truncated WAV, AIFF, AU, CAF, W64 or RF64 in silence;
# its log alone tells.
_SHORTENED = re.compile(
  r'^\s*(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)',
  re.MULTILINE,
)
# Writers to a pipe leave a size from here on in the header of a WAV.
_UNKNOWN_SIZE = 2**31 - 2**16
_MAX_OGG_PAGE = 65_307


class AudioError(config.UserError):
  """A file that cannot be used; the message is `path: reason.`"""


def read(
  path: str | os.PathLike[str],
  sample_rate: int,
  max_seconds: float = math.inf,
) -> Float32[np.ndarray, 'samples']:
  """The mean over channels of a file, resampled to `sample_rate` (Hz).

  Full scale is 1. All samples are finite and there is at least one.

  Raises:
    AudioError: the file is missing, not audio, truncated, empty, holds NaN or
      infinities, or is longer than `max_seconds`, which its header decides
      before anything is decoded.
  """
  with _opened(path) as file:
    seconds = file.frames / file.samplerate
    if seconds > max_seconds:
      raise AudioError(
        f'{path}: too long, {seconds:.2f} s; want at most {max_seconds:g} s.'
      )
    _check_complete(path, file)
    waveform = _decode(path, file)
    source_rate = file.samplerate
  _check_finite(path, waveform)
  waveform = _resample(waveform, source_rate, sample_rate)
  _check_finite(path, waveform)  # Again: the filter can overflow.
  return waveform


def stream(
  path: str | os.PathLike[str], sample_rate: int
) -> Iterator[Float32[np.ndarray, '_']]:
  """`read` in blocks, for a recording of any length.

  Joined, they are what `read` gives, but for a sample more or less at the end;
  what is wrong with a file may only show after its first blocks.

  Raises:
    AudioError: as `read`.
  """
  import soxr  # Here, because few who read audio resample it in blocks.

  with _opened(path) as file:
    _check_complete(path, file)
    resampler = soxr.ResampleStream(
      file.samplerate, sample_rate, 1, dtype='float32', quality='HQ'
    )
    convert = resampler.resample_chunk
    if file.samplerate == sample_rate:
      convert = _unchanged
    for block in _blocks(path, file):
      _check_finite(path, block)
      yield convert(block)
    yield convert(np.zeros(0, np.float32), last=True)


def _unchanged(
  block: Float32[np.ndarray, '_'], last: bool = False
) -> Float32[np.ndarray, '_']:
  del last
  return block


def duration(path: str | os.PathLike[str]) -> float:
  """Seconds that the header promises; nothing is decoded.

  Raises:
    AudioError: the file is missing, not audio, or does not say its length.
  """
  with _opened(path) as file:
    return file.frames / file.samplerate


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
  """The open file, whose header says how long it is."""
  try:
    with open(path, 'rb') as plain:
      if not plain.read(1):
        raise AudioError(f'{path}: empty, holds no bytes.')
  except OSError as error:
    raise AudioError(f'{path}: {error.strerror}.') from error
  try:
    file = soundfile.SoundFile(path)
  # TypeError is what soundfile makes of a name that ends in .raw.
  except (soundfile.LibsndfileError, TypeError) as error:
    raise AudioError(
      f'{path}: not audio, or in a format that libsndfile does not read.'
    ) from error
  with file:
    if file.frames == _UNKNOWN_FRAMES:
      raise AudioError(
        f'{path}: its header does not say how long it is; encode it again.'
      )
    yield file


def _check_complete(
  path: str | os.PathLike[str], file: soundfile.SoundFile
) -> None:
  """Raises where the container is cut short, for those that can tell."""
  for promised, present in _SHORTENED.findall(file.extra_info):
    if int(present) < int(promised) < _UNKNOWN_SIZE:
      raise AudioError(
        f'{path}: truncated, {present} bytes of the {promised} promised.'
      )
  if file.format == 'OGG' and not _has_last_ogg_page(path):
    raise AudioError(f'{path}: truncated, its last Ogg page is missing.')


def _has_last_ogg_page(path: str | os.PathLike[str]) -> bool:
  """Whether the file ends in a whole page with the end-of-stream flag."""
  with open(path, 'rb') as plain:
    size = plain.seek(0, os.SEEK_END)
    plain.seek(max(size - _MAX_OGG_PAGE, 0))
    tail = plain.read()
  page = tail[max(tail.rfind(b'OggS'), 0) :]
  if len(page) < 27 or not page[5] & 4:
    return False
  segment_sizes = page[27 : 27 + page[26]]
  return len(page) >= 27 + page[26] + sum(segment_sizes)


def _decode(
  path: str | os.PathLike[str], file: soundfile.SoundFile
) -> Float32[np.ndarray, 'samples']:
  return np.concatenate(list(_blocks(path, file)))


def _blocks(
  path: str | os.PathLike[str], file: soundfile.SoundFile
) -> Iterator[Float32[np.ndarray, '_']]:
  """Blockwise, so that a header that lies cannot claim the memory."""
  num_read = 0
  try:
    while len(block := file.read(_BLOCK_FRAMES, 'float32', always_2d=True)):
      num_read += len(block)
      yield block.mean(axis=1)
  except soundfile.LibsndfileError as error:
    raise AudioError(f'{path}: truncated or damaged.') from error
  if not num_read:
    raise AudioError(f'{path}: empty, holds no samples.')
  if num_read < file.frames:
    raise AudioError(
      f'{path}: truncated, {num_read} samples of the {file.frames} promised.'
    )


def _check_finite(
  path: str | os.PathLike[str], waveform: Float[np.ndarray, 'samples']
) -> None:
  if not np.isfinite(waveform).all():
    raise AudioError(f'{path}: holds NaN or infinite samples.')


def _resample(
  waveform: Float[np.ndarray, 'samples'], source_rate: int, sample_rate: int
) -> Float32[np.ndarray, 'resampled']:
  if source_rate == sample_rate:
    return waveform
  return resampling.resampled(waveform, source_rate, sample_rate)
