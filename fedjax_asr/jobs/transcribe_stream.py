"""Words of a recording, or of the standard input, while it is read."""

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
from fedjax_asr.decoding import live, long_form
from fedjax_asr.jobs import printed_text
from fedjax_asr.speech import audio, pcm

# Shorter recordings hold no word.
MIN_SECONDS = 0.1
_STANDARD_INPUT = '-'

_Waveform = Float32[np.ndarray, '_']


class Summary(NamedTuple):
  """What a stream took.

  look_ahead: of the algorithm.
  chunk_seconds: that the features, model and words of each chunk took.
  real_time_factor: seconds of computing for one of sound, compiling apart.
  num_cores: that this process may use.
  """

  look_ahead: live.LookAhead
  chunk_seconds: list[float]
  real_time_factor: float
  num_cores: int

  def described(self) -> str:
    """One line."""
    ahead, taken = self.look_ahead, self.as_dict()['chunk_ms']
    cores = f'{self.num_cores} core' + 's' * (self.num_cores > 1)
    return (
      f'latency: {ahead.total:.0f} ms of look-ahead (features '
      f'{ahead.features:.0f}, model {ahead.convolutions:.0f}, lookahead '
      f'{ahead.lookahead:.0f}, chunk {ahead.chunk:.0f}) and '
      f'{taken["median"]:.1f} ms of computing a chunk ({taken["max"]:.1f} at '
      f'most); real-time factor {self.real_time_factor:.3f} on {cores}'
    )

  def as_dict(self) -> dict[str, Any]:
    """As JSON takes it; times in milliseconds."""
    ahead = {
      name: round(ms, 3) for name, ms in self.look_ahead._asdict().items()
    }
    taken = [1000 * seconds for seconds in self.chunk_seconds] or [0.0]
    return {
      'look_ahead_ms': {**ahead, 'total': round(self.look_ahead.total, 3)},
      'chunk_ms': {
        'median': round(statistics.median(taken), 3),
        'max': round(max(taken), 3),
      },
      'real_time_factor': round(self.real_time_factor, 5),
      'num_cores': self.num_cores,
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
  """Prints words as soon as they are determined, then the end of the line.

  Of what is silent, or shorter than `MIN_SECONDS`, there are none.

  Raises:
    UserError: the run cannot stream; of the recording, once all that was heard
      before is printed.
  """
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
  stream = _PrintedStream(listener, saved)
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


def _blocks(
  cfg: config.TranscribeConfig, sample_rate: int
) -> Iterator[_Waveform]:
  if cfg.input == _STANDARD_INPUT:
    source = typing.cast(io.BufferedIOBase, sys.stdin.buffer)
    return pcm.blocks(source, sample_rate, cfg.raw_rate, 'standard input')
  return audio.stream(home.expanded(cfg.input), sample_rate)


class _PrintedStream:
  """Sound in, words out, and how long that took."""

  def __init__(self, listener: live.Listener, saved: saved_run.SavedRun):
    self._listener = listener
    self._stream = listener.stream()
    self._words = live.GreedyWords(saved.alphabet, listener.output_seconds)
    self._joint = ' ' if saved.alphabet.has_words else ''
    self._sample_rate = saved.config.features.sample_rate
    self._heard: list[live.Word] = []
    self._num_printed = self.num_samples = 0
    self._low, self._high = math.inf, -math.inf
    self._taken: list[float] = []

  def add(self, waveform: _Waveform) -> None:
    """The next samples, a chunk at most."""
    if not len(waveform):
      return
    started = time.perf_counter()
    self.num_samples += len(waveform)
    self._low = min(self._low, float(waveform.min()))
    self._high = max(self._high, float(waveform.max()))
    logits = self._stream.add(waveform)
    self._heard += self._words.add(logits.argmax(1))
    self._print()
    self._taken.append(time.perf_counter() - started)

  def finish(self) -> None:
    """The last words and the end of the line."""
    started = time.perf_counter()
    logits = self._stream.finish()
    self._heard += self._words.add(logits.argmax(1)) + self._words.finish()
    self._print()
    printed_text.show('\n')
    self._taken.append(time.perf_counter() - started)

  @property
  def _seconds(self) -> float:
    return self.num_samples / self._sample_rate

  @property
  def _is_silent(self) -> bool:
    """`audio.is_silent` of all so far."""
    extremes = np.array([self._low, self._high], np.float32)
    return not self.num_samples or audio.is_silent(extremes)

  def _print(self) -> None:
    """Words wait until there was something to hear: of what holds nothing,
    there are none."""
    if self._is_silent or self._seconds < MIN_SECONDS:
      return
    for word in self._heard[self._num_printed :]:
      before = self._joint if self._num_printed else ''
      printed_text.show(before + word.text)
      self._num_printed += 1

  def recording(self) -> long_form.Recording:
    """A segment for each word that was printed."""
    words = self._heard[: self._num_printed]
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
      chunk_seconds=self._taken,
      real_time_factor=sum(self._taken) / max(self._seconds, 1e-9),
      num_cores=_num_cores(),
    )


def _num_cores() -> int:
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
