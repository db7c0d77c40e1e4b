"""Which parts of a recording are speech: by energy, or by WebRTC's detector."""

import bisect
import collections
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32

from fedjax_asr import config

# Of a frame that is judged.
FRAME_SECONDS = 0.01
# Levels are of so many frames around each, and are compared with those of so
# many before it and behind it.
_SMOOTHED_FRAMES = 5
_AROUND_FRAMES = 250
# Under this many decibels between loud and quiet, nothing tells them apart.
_MIN_RANGE = 6.0
# Nothing quieter than this under the loud is told apart.
_MAX_RANGE = 30.0
# Of the way from quiet to loud, where speech begins.
_THRESHOLD = 0.3
_LOUD, _QUIET = 90, 5
# Of the last 20 s, in which there may be little speech.
_LOUDEST, _HISTORY_FRAMES = 99, 2000
# At the start of a stream, with nothing to compare with, what is louder than
# this is speech (0: full scale).
_LOUD_ALONE, _START_FRAMES = -45.0, 30
# Under this, samples are zeros, but for rounding: no room is so quiet.
_ZEROS = -90.0
_WEBRTC_RATES = (8000, 16000, 32000, 48000)
# Of 0 to 3: how much is taken for noise.
_WEBRTC_MODE = 2

# Of whole frames of a recording, one block after another: whether each is
# speech.
Detector = Callable[
  [Float32[np.ndarray, 'frames samples']], Bool[np.ndarray, ' frames']
]


class MissingPackageError(config.UserError):
  """The detector's package is not installed."""


def frame_length(sample_rate: int) -> int:
  """Samples of a frame."""
  return max(1, round(FRAME_SECONDS * sample_rate))


def check(cuts: config.Cuts, sample_rate: int) -> None:
  """Raises UserError where the detector cannot be used."""
  if cuts is config.Cuts.WEBRTC:
    webrtc(sample_rate)


def energy() -> Detector:
  """Frames that are louder than what is quiet within 2.5 s of them.

  Loud and quiet are the levels that a tenth of these frames exceed, and a
  twentieth do not reach. Where they are less than 6 dB apart, as within a long
  pause, they are those of the last 20 s; and where these are, all is speech:
  nothing is cut that may be a word. Frames behind a block are not known while
  it is judged.
  """
  import scipy.ndimage  # Here, because few recordings are cut.

  before = np.zeros(0)

  def detected(frames):
    nonlocal before
    centred = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(centred, dtype=np.float64).mean(axis=1)
    power = scipy.ndimage.uniform_filter1d(power, _SMOOTHED_FRAMES)
    levels = 10 * np.log10(power + 1e-12)
    near = np.append(before[-_AROUND_FRAMES:], levels)
    quiet, loud = (
      scipy.ndimage.percentile_filter(
        near, percentile, 2 * _AROUND_FRAMES + 1, mode='nearest'
      )[len(near) - len(levels) :]
      for percentile in (_QUIET, _LOUD)
    )
    before = np.append(before, levels)[-_HISTORY_FRAMES:]
    is_even = loud - quiet < _MIN_RANGE
    lowest, highest = np.percentile(before, [_QUIET, _LOUDEST])
    quiet = np.where(is_even, lowest, quiet)
    loud = np.where(is_even, highest, loud)
    threshold = np.maximum(quiet, loud - _MAX_RANGE)
    threshold = threshold + _THRESHOLD * (loud - threshold)
    return (levels > threshold) | (loud - quiet < _MIN_RANGE)

  return detected


def energy_so_far() -> Detector:
  """`energy` of a stream, by what came before each frame and itself.

  The same whatever comes at once. Loud and quiet are of the last 2.5 s, and
  where these are even, of the last 20 s. Where these are, too, speech and
  pauses go on, up to a frame that is 6 dB louder or softer than what is quiet:
  neither a long pause nor noise without one is taken for the other. A frame's
  level is the mean of the 50 ms that end with it, so that a pause is heard so
  much late. The first 0.3 s, with little to compare with, are speech where they
  are louder than -45 dB of full scale.
  """
  levels = _Levels()

  def detected(frames):
    return np.array([levels.is_speech(frame) for frame in frames], bool)

  return detected


class _Levels:
  """Of the last frames; memory and time for a frame do not grow."""

  def __init__(self):
    self._powers = collections.deque(maxlen=_SMOOTHED_FRAMES)
    self._near = _Ranked(_AROUND_FRAMES)
    self._history = _Ranked(_HISTORY_FRAMES)
    self._was_speech = False

  def is_speech(self, frame: Float32[np.ndarray, ' samples']) -> bool:
    """Of the next frame."""
    power = np.square(frame - frame.mean(), dtype=np.float64).mean()
    if _decibels(power) < _ZEROS:
      self._powers.clear()
      return False
    self._powers.append(float(power))
    level = _decibels(sum(self._powers) / len(self._powers))
    self._near.add(level)
    self._history.add(level)
    return self._is_louder(level)

  def _is_louder(self, level: float) -> bool:
    if len(self._history) < _START_FRAMES:
      self._was_speech = level > _LOUD_ALONE
      return self._was_speech
    quiet, loud = self._near.at(_QUIET), self._near.at(_LOUD)
    if loud - quiet < _MIN_RANGE:
      quiet, loud = self._history.at(_QUIET), self._history.at(_LOUDEST)
    if loud - quiet < _MIN_RANGE:
      change = -_MIN_RANGE if self._was_speech else _MIN_RANGE
      return level > quiet + change
    lowest = max(quiet, loud - _MAX_RANGE)
    self._was_speech = level > lowest + _THRESHOLD * (loud - lowest)
    return self._was_speech


def _decibels(power: float) -> float:
  return 10 * math.log10(power + 1e-12)


class _Ranked:
  """The last numbers of a series, in their order and by size."""

  def __init__(self, size: int):
    self._size = size
    self._last = collections.deque()
    self._sorted: list[float] = []

  def __len__(self) -> int:
    return len(self._last)

  def add(self, number: float) -> None:
    if len(self._last) == self._size:
      oldest = self._last.popleft()
      del self._sorted[bisect.bisect_left(self._sorted, oldest)]
    self._last.append(number)
    bisect.insort(self._sorted, number)

  def at(self, percentile: float) -> float:
    """The number at the nearest rank."""
    return self._sorted[round(percentile / 100 * (len(self._sorted) - 1))]


def everything() -> Detector:
  """All is speech: nothing is cut."""
  return lambda frames: np.ones(len(frames), bool)


def webrtc(sample_rate: int) -> Detector:
  """WebRTC's, by models of speech and noise in six bands.

  Raises:
    MissingPackageError: its package is not installed.
    ConfigError: it takes no such rate.
  """
  try:
    # Here, because it is optional.
    import webrtcvad  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise MissingPackageError(
      f'config.transcribe.cuts=webrtc needs the package webrtcvad ({error}), '
      "of the extra vad; run: pip install 'webrtcvad-wheels>=2.0.14'"
    ) from error
  if sample_rate not in _WEBRTC_RATES:
    rates = ', '.join(map(str, _WEBRTC_RATES))
    raise config.ConfigError(
      f"config.transcribe.cuts=webrtc, but the run's features.sample_rate="
      f'{sample_rate}; want cuts=energy, or one of {rates}.'
    )
  detector = webrtcvad.Vad(_WEBRTC_MODE)

  def detected(frames):
    pcm = np.clip(np.rint(frames * 2**15), -(2**15), 2**15 - 1)
    return np.array(
      [
        detector.is_speech(frame.tobytes(), sample_rate)
        for frame in pcm.astype('<i2')
      ],
      bool,
    )

  return detected
