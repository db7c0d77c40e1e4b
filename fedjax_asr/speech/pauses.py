"""A recording in stretches of speech, cut in the middle of pauses.

What a model of single sentences has learnt is a sentence with a little silence
at its ends. Half a pause is left at each end of a stretch, and what there is
more of a pause is in none.
"""

import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from fedjax_asr.speech import voice_activity

# Speech that is shorter, such as a click, begins no stretch.
_ONSET_SECONDS = 0.03
# Judged at once: what is loud goes by what comes within this time, too.
_JUDGED_SECONDS = 10.0

_Waveform = Float32[np.ndarray, '_']


class Stretch(NamedTuple):
  """Speech between two pauses; its blocks are to be taken before the next."""

  start: int  # The first of its samples in the recording.
  blocks: Iterator[_Waveform]


def stretches(
  blocks: Iterable[_Waveform],
  detector: voice_activity.Detector,
  pause_seconds: float,
  sample_rate: int,
) -> Iterator[Stretch]:
  """Stretches with pauses of `pause_seconds` or more between them.

  Holds a block, ten seconds and a pause in memory; a stretch may be of any
  length.
  """
  length = voice_activity.frame_length(sample_rate)
  per_second = sample_rate / length
  cutter = _Cutter(
    margin=max(1, round(pause_seconds / 2 * per_second)),
    onset=max(1, round(_ONSET_SECONDS * per_second)),
  )
  kept = _kept(blocks, detector, cutter, round(per_second), length)
  for _, group in itertools.groupby(kept, lambda item: item[0]):
    yield _stretch(group)


def _stretch(parts: Iterator[tuple[int, int, _Waveform]]) -> Stretch:
  _, start, first = next(parts)
  others = map(operator.itemgetter(2), parts)
  return Stretch(start, itertools.chain([first], others))


def _kept(blocks, detector, cutter, per_second, length):
  """(number of its stretch, first sample, samples) of each part that is kept,
  in order."""
  size = round(_JUDGED_SECONDS * per_second) * length
  held, start = np.zeros(0, np.float32), 0
  for waveform in _of_size(blocks, size):
    count = -(-len(waveform) // length)
    padded = np.pad(waveform, (0, count * length - len(waveform)))
    numbers = cutter.add(detector(padded.reshape(count, length)))
    held = np.concatenate([held, waveform])
    for number, first, until in _runs(numbers):
      part = held[first * length : until * length]
      yield number, start + first * length, part
    held, start = held[len(numbers) * length :], start + len(numbers) * length


def _of_size(blocks: Iterable[_Waveform], size: int) -> Iterator[_Waveform]:
  """The same samples in blocks of one size, the last one as it comes."""
  waiting = np.zeros(0, np.float32)
  for block in blocks:
    waiting = np.concatenate([waiting, block])
    while len(waiting) >= size:
      yield waiting[:size]
      waiting = waiting[size:]
  if len(waiting):
    yield waiting


def _runs(numbers: list[int]) -> Iterator[tuple[int, int, int]]:
  """(number, first, until) of frames in a row of one stretch."""
  first = 0
  for number, group in itertools.groupby(numbers):
    until = first + len([*group])
    if number >= 0:
      yield number, first, until
    first = until


class _Cutter:
  """Numbers frames by the stretch that they are of, -1: of none.

  A frame of a pause waits for its number until speech comes within a margin, or
  does not: those that still wait in the end are of none.
  """

  def __init__(self, margin: int, onset: int):
    self._margin, self._onset = margin, onset
    self._number = -1
    # Frames since the last speech of the stretch; more than the margin: none.
    self._quiet = margin + 1
    self._waiting = self._speech = 0

  def add(self, is_speech: Bool[np.ndarray, ' frames']) -> list[int]:
    """Numbers of the frames that are known now, in order."""
    known = []
    for speaks in is_speech.tolist():
      known += self._next(speaks)
    return known

  def _next(self, speaks: bool) -> list[int]:
    self._speech = self._speech + 1 if speaks else 0
    if self._quiet > self._margin:
      return self._between()
    self._quiet = 0 if speaks else self._quiet + 1
    if self._quiet > self._margin:
      self._waiting = 1
      return []
    return [self._number]

  def _between(self) -> list[int]:
    """Frames wait for speech: a margin of them, and its onset."""
    self._waiting += 1
    if self._speech >= self._onset:
      pause = self._waiting - self._onset
      # A shorter one is none: the stretch goes on.
      is_next = self._number < 0 or pause >= self._margin
      self._number += is_next
      before = max(0, pause - self._margin)
      known = [-1] * before + [self._number] * (self._waiting - before)
      self._waiting = self._quiet = 0
      return known
    if self._waiting > self._margin + self._onset:
      self._waiting -= 1
      return [-1]
    return []
