"""One utterance of a corpus, and the files that its features come from."""

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Float32

from fedjax_asr import config
from fedjax_asr.speech import (
  audio,
  encoded,
  features,
  file_part,
  formats,
  segments,
)

Features = Float[np.ndarray, 'frames features']
Waveform = Float32[np.ndarray, '_']

_FINGERPRINT_BYTES = 64 * 1024


class CorpusError(config.UserError):
  """A corpus, or a file of it, that cannot be used."""


class TooLongError(CorpusError):
  """An utterance longer than `config.data.max_seconds`."""


class WrongWidthError(CorpusError):
  """A feature file without `config.features.num_features` columns."""


class SilentError(CorpusError):
  """An utterance in which there is nothing to hear."""


class SegmentError(CorpusError):
  """A segment that its recording does not have."""


class Source(Protocol):
  """Where the features of one utterance come from; picklable."""

  def fingerprint(self) -> str:
    """Equal for equal content; cheap, so not the whole of a large file."""
    ...

  def features(
    self, cfg: config.FeaturesConfig, max_seconds: float
  ) -> Features:
    """Un-normalised features.

    Raises:
      TooLongError: if the utterance is longer than `max_seconds`.
      SilentError: if there is nothing to hear.
      SegmentError: if its file ends before it does.
      ValueError: if it cannot be read, with the path and the reason.
    """
    ...

  def waveform(self, sample_rate: int) -> Waveform | None:
    """The recording itself; None where the corpus has features alone.

    Raises:
      ValueError: if it cannot be read, with the path and the reason.
    """
    ...

  def sample_rate(self) -> int:
    """Hz of the recording; 0 where the corpus has features alone.

    Raises:
      ValueError: if it cannot be read, with the path and the reason.
    """
    ...

  def describe(self) -> str:
    """What messages call it: a path, or 'synthetic speaker 3 utterance 5'."""
    ...


class Utterance(NamedTuple):
  """One utterance; `id` is unique in its corpus."""

  id: str
  speaker: str
  # As the corpus has it; of what `datasets.usable` keeps, in the alphabet.
  text: str
  duration: float  # Seconds; 0.0 when unknown.
  source: Source
  # Who holds the recording; '': its speaker.
  client: str = ''


class AudioFile(NamedTuple):
  """Speech in any format that `speech.audio` reads, or a segment of it.

  Segments of a file are read fast in order, from one after another.
  """

  path: str
  offset: float = 0.0  # Seconds.
  seconds: float = 0.0  # 0.0: up to the end of the file.

  def fingerprint(self) -> str:
    content = file_fingerprint(self.path)
    if not self.offset and not self.seconds:
      return content
    return f'{content} {self.offset!r} {self.seconds!r}'

  def features(
    self, cfg: config.FeaturesConfig, max_seconds: float
  ) -> Features:
    return features_of_audio(
      self.describe(),
      lambda: segments.read(
        self.path, cfg.sample_rate, self.offset, self.seconds, max_seconds
      ),
      cfg,
    )

  def waveform(self, sample_rate: int) -> Waveform:
    return segments.read(self.path, sample_rate, self.offset, self.seconds)

  def sample_rate(self) -> int:
    return segments.sample_rate(self.path)

  def describe(self) -> str:
    if not self.offset:
      return self.path
    end = f'{self.offset + self.seconds:g} s' if self.seconds else 'the end'
    return f'{self.path} from {self.offset:g} s to {end}'


class FeatureFile(NamedTuple):
  """Features computed elsewhere: a .npy of [frames, features].

  Nothing says how: `feature_files` compares all of a corpus with the config.
  """

  path: str

  def fingerprint(self) -> str:
    return file_fingerprint(self.path)

  def features(
    self, cfg: config.FeaturesConfig, max_seconds: float
  ) -> Features:
    values = self._read()
    if values.ndim != 2 or values.shape[1] != cfg.num_features:
      kind = WrongWidthError if values.ndim == 2 else CorpusError
      raise kind(
        f'{self.path}: shape {values.shape}; want [frames, '
        f'{cfg.num_features}] (config.features.num_features).'
      )
    if len(values) == 0:
      raise CorpusError(f'{self.path}: no frames.')
    if values.dtype.kind not in 'fiu' or not np.isfinite(values).all():
      raise CorpusError(f'{self.path}: want finite real numbers.')
    check_duration(
      f'{self.path}: {len(values)} frames of '
      f'config.features.hop_ms={cfg.hop_ms:g}',
      len(values) * cfg.hop_ms / 1000,
      max_seconds,
    )
    return values.astype(np.float32)

  def waveform(self, sample_rate: int) -> None:
    del sample_rate

  def sample_rate(self) -> int:
    return 0

  def shape(self) -> tuple[int, ...]:
    """Of the array, without reading it.

    Raises:
      CorpusError: as `features`.
    """
    return self._read(mmap_mode='r').shape

  def _read(self, **options: Any) -> np.ndarray:
    try:
      values = np.load(self.path, allow_pickle=False, **options)
    except (OSError, ValueError, EOFError) as error:
      raise CorpusError(f'{self.path}: not a .npy file: {error}.') from None
    if not isinstance(values, np.ndarray):
      raise CorpusError(f'{self.path}: an .npz archive; want a .npy file.')
    return values

  def describe(self) -> str:
    return self.path


def features_of_audio(
  name: str, read: Callable[[], Waveform], cfg: config.FeaturesConfig
) -> Features:
  """Those of what `read` gives; `name` is what messages call it.

  Raises:
    ValueError: as `Source.features`.
  """
  try:
    waveform = read()
  except audio.TooLongError as error:
    reason = str(error).removesuffix('.')
    raise TooLongError(f'{reason} (config.data.max_seconds).') from None
  except segments.SegmentError as error:
    raise SegmentError(str(error)) from None
  if audio.is_silent(waveform):
    raise SilentError(
      f'{name}: silent; the mean of its channels stays under '
      f'{audio.SILENCE:g} of full scale, or under 1/1000 of their peak, or '
      'is constant.'
    )
  return features.extract(waveform, cfg)


def check_duration(name: str, seconds: float, max_seconds: float) -> None:
  """Raises `TooLongError` if an utterance is longer than it may be."""
  if seconds > max_seconds:
    raise TooLongError(
      f'{name}: {seconds:.2f} s; want at most '
      f'config.data.max_seconds={max_seconds:g}.'
    )


def file_fingerprint(path: file_part.Path) -> str:
  """Size, and a digest of the first and the last 64 KiB."""
  digest = hashlib.blake2b(digest_size=16)
  try:
    with file_part.opened(path) as file:
      size = encoded.size(file)
      file.seek(0)
      digest.update(file.read(_FINGERPRINT_BYTES))
      file.seek(max(0, size - _FINGERPRINT_BYTES))
      digest.update(file.read(_FINGERPRINT_BYTES))
  except OSError as error:
    return f'unreadable {error.errno}'
  # Whether it can be read depends on an extra.
  by = ' decoded' if formats.is_decoded(pathlib.Path(str(path))) else ''
  return f'{size} {digest.hexdigest()}{by}'
