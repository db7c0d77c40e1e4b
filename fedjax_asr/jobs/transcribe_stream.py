"""Words of a recording, or of the standard input, while it is read."""

import collections
import io
import math
import os
import statistics
import sys
import time
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from fedjax_asr import config, home, interruption, run_error, saved_run
from fedjax_asr.decoding import live, long_form, sentences
from fedjax_asr.jobs import printed_text
from fedjax_asr.speech import audio, endpoints, pcm, voice_activity

# Shorter recordings hold no word.
MIN_SECONDS = 0.1
# Of the last so many the median is taken.
_TIMED_CHUNKS = 10_000
_STANDARD_INPUT = '-'

_Waveform = Float32[np.ndarray, '_']


class Summary(NamedTuple):
  """What a stream took.

  look_ahead: of the algorithm.
  median_seconds, max_seconds: that the features, model and words of a chunk
    took; the median is of the last 10,000.
  real_time_factor: seconds of computing for one of sound, compiling apart.
  num_cores: that this process may use.
  num_sentences: in which there were words.
  """

  look_ahead: live.LookAhead
  median_seconds: float
  max_seconds: float
  real_time_factor: float
  num_cores: int
  num_sentences: int

  def described(self) -> str:
    """One line."""
    ahead, taken = self.look_ahead, self.as_dict()['chunk_ms']
    cores = f'{self.num_cores} core' + 's' * (self.num_cores > 1)
    return (
      f'latency: {ahead.total:.0f} ms of look-ahead (features '
      f'{ahead.features:.0f}, model {ahead.convolutions:.0f}, lookahead '
      f'{ahead.lookahead:.0f}, chunk {ahead.chunk:.0f}) and '
      f'{taken["median"]:.1f} ms of computing a chunk ({taken["max"]:.1f} at '
      f'most); real-time factor {self.real_time_factor:.3f} on {cores}; '
      f'sentences: {self.num_sentences}'
    )

  def as_dict(self) -> dict[str, Any]:
    """As JSON takes it; times in milliseconds."""
    ahead = {
      name: round(ms, 3) for name, ms in self.look_ahead._asdict().items()
    }
    return {
      'look_ahead_ms': {**ahead, 'total': round(self.look_ahead.total, 3)},
      'chunk_ms': {
        'median': round(1000 * self.median_seconds, 3),
        'max': round(1000 * self.max_seconds, 3),
      },
      'real_time_factor': round(self.real_time_factor, 5),
      'num_cores': self.num_cores,
      'num_sentences': self.num_sentences,
    }


def check_input(name: str) -> None:
  """Raises AudioError unless it is a file or the standard input."""
  if name != _STANDARD_INPUT and not home.expanded(name).is_file():
    raise audio.AudioError(
      f'config.transcribe.input={name!r}: no such file; want one, or - for the '
      'standard input, with config.transcribe.stream=true.'
    )


def run(
  cfg: config.TranscribeConfig, saved: saved_run.SavedRun
) -> tuple[long_form.Recording, Summary]:
  """Prints words as soon as they are determined, a line for each sentence.

  Of what is silent, or shorter than `MIN_SECONDS`, there are none, and the line
  is empty.

  Raises:
    UserError: the run cannot stream, the detector of pauses is not there; of
      the recording, once all that was heard before is printed.
  """
  endpointer = endpointing(cfg, saved.config.features.sample_rate)
  try:
    listener = live.Listener(
      saved.config,
      saved.params,
      saved.norm_state,
      saved.statistics,
      saved.alphabet,
      cfg.chunk_seconds,
    )
  except config.ConfigError as error:
    raise run_error.RunError(f'{saved.path}: {error}') from None
  stream = _PrintedStream(listener, saved, endpointer)
  failure = None
  try:
    for block in _blocks(cfg, saved.config.features.sample_rate):
      for start in range(0, len(block), listener.chunk_samples):
        interruption.check()
        stream.add(block[start : start + listener.chunk_samples])
  except audio.AudioError as error:
    failure = error
  if stream.num_samples or failure is None:
    stream.finish()
  if failure is not None:
    raise failure
  return stream.recording(), stream.summary()


def endpointing(
  cfg: config.TranscribeConfig, sample_rate: int
) -> endpoints.Endpointer:
  """Where one stream is to be cut.

  Raises:
    UserError: the detector cannot be used.
  """
  match cfg.cuts:
    case config.Cuts.WINDOWS:
      detector = voice_activity.everything()
    case config.Cuts.WEBRTC:
      detector = voice_activity.webrtc(sample_rate)
    case config.Cuts.ENERGY:
      detector = voice_activity.energy_so_far()
  return endpoints.Endpointer(detector, cfg.pause_seconds, sample_rate)


def _blocks(
  cfg: config.TranscribeConfig, sample_rate: int
) -> Iterator[_Waveform]:
  if cfg.input == _STANDARD_INPUT:
    source = typing.cast(io.BufferedIOBase, sys.stdin.buffer)
    return pcm.blocks(source, sample_rate, cfg.raw_rate, 'standard input')
  return audio.stream(home.expanded(cfg.input), sample_rate)


class _PrintedStream:
  """Sound in, words out, and how long that took."""

  def __init__(
    self,
    listener: live.Listener,
    saved: saved_run.SavedRun,
    endpointer: endpoints.Endpointer,
  ):
    self._listener = listener
    self._sample_rate = saved.config.features.sample_rate
    self._sentences = sentences.Sentences(
      listener, saved.alphabet, endpointer, self._sample_rate
    )
    self._joint = ' ' if saved.alphabet.has_words else ''
    self._waiting: list[sentences.Heard] = []
    self._printed: list[list[live.Word]] = [[]]
    self.num_samples = 0
    self._low, self._high = math.inf, -math.inf
    self._times = _Times()

  def add(self, waveform: _Waveform) -> None:
    """The next samples, a chunk at most."""
    if not len(waveform):
      return
    started = time.perf_counter()
    self.num_samples += len(waveform)
    self._low = min(self._low, float(waveform.min()))
    self._high = max(self._high, float(waveform.max()))
    self._print(self._sentences.add(waveform))
    self._times.add(time.perf_counter() - started)

  def finish(self) -> None:
    """The last words and the end of the line."""
    started = time.perf_counter()
    self._print(self._sentences.finish())
    if not self._num_sentences:
      printed_text.show('\n')
    self._times.add(time.perf_counter() - started)

  @property
  def _seconds(self) -> float:
    return self.num_samples / self._sample_rate

  @property
  def _is_silent(self) -> bool:
    """`audio.is_silent` of all so far."""
    extremes = np.array([self._low, self._high], np.float32)
    return not self.num_samples or audio.is_silent(extremes)

  @property
  def _num_sentences(self) -> int:
    return sum(bool(words) for words in self._printed)

  def _print(self, heard: list[sentences.Heard]) -> None:
    """Words wait until there was something to hear: of what holds nothing,
    there are none."""
    self._waiting += [each for each in heard if each.words or each.ends]
    if self._is_silent or self._seconds < MIN_SECONDS:
      return
    for words, ends in self._waiting:
      line = self._printed[-1]
      for word in words:
        printed_text.show((self._joint if line else '') + word.text)
        line.append(word)
      if ends and line:
        printed_text.show('\n')
        self._printed.append([])
    self._waiting = []

  def recording(self) -> long_form.Recording:
    """A segment for each word that was printed."""
    words = [word for line in self._printed for word in line]
    return long_form.Recording(
      seconds=self._seconds,
      text=self._joint.join(word.text for word in words),
      segments=[
        long_form.Segment(word.start, min(word.end, self._seconds), word.text)
        for word in words
      ],
      is_silent=self._is_silent,
    )

  def summary(self) -> Summary:
    return Summary(
      look_ahead=self._listener.look_ahead,
      median_seconds=self._times.median,
      max_seconds=self._times.most,
      real_time_factor=self._times.total / max(self._seconds, 1e-9),
      num_cores=_num_cores(),
      num_sentences=self._num_sentences,
    )


class _Times:
  """Seconds of each chunk, in memory that does not grow."""

  def __init__(self):
    self._last = collections.deque(maxlen=_TIMED_CHUNKS)
    self.total = self.most = 0.0

  def add(self, seconds: float) -> None:
    self._last.append(seconds)
    self.total += seconds
    self.most = max(self.most, seconds)

  @property
  def median(self) -> float:
    return statistics.median(self._last or [0.0])


def _num_cores() -> int:
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
