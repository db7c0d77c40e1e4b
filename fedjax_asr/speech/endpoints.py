"""Ends of sentences along a stream, from the samples that were heard so far.

A sentence ends where nobody has spoken for `pause_seconds`: there, behind the
pause so far, it is cut. The next one begins `pause_seconds` before its speech,
or at the cut where that is later, and what there is more of a pause is in none.
A sentence has its samples as soon as they come; only its beginning waits, until
it is known to be speech. What is judged speech for less than 0.1 s, such as a
click, neither begins a sentence nor interrupts a pause, but is never cut.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fedjax_asr.speech import voice_activity

# Speech that is shorter begins no sentence; levels are means of half of it.
_ONSET_SECONDS = 0.1

_Waveform = Float32[np.ndarray, '_']


class Part(NamedTuple):
  """Samples of one sentence, in order and none twice.

  start: the first of them in the stream.
  begins, ends: the sentence.
  """

  start: int
  waveform: _Waveform
  begins: bool
  ends: bool


class Endpointer:
  """Samples in, parts of sentences out.

  Where sentences are cut does not depend on how many samples come at once.
  Holds no more than a pause and a tenth of a second.
  """

  def __init__(
    self,
    detector: voice_activity.Detector,
    pause_seconds: float,
    sample_rate: int,
  ):
    """`detector`: a new one, that judges a frame by itself and those before."""
    self._detector = detector
    self._length = voice_activity.frame_length(sample_rate)
    per_second = sample_rate / self._length
    self._pause = max(1, round(pause_seconds * per_second))
    self._onset = max(1, round(_ONSET_SECONDS * per_second))
    self._is_inside = False
    # Frames of speech until now without a gap; frames since there were enough.
    self._speech = self._quiet = 0
    self._frame = self._held = np.zeros(0, np.float32)
    self._num_samples = 0

  def add(self, waveform: _Waveform) -> list[Part]:
    """What is known of these samples and those that waited."""
    before = len(self._frame)
    frames = np.concatenate([self._frame, waveform])
    count = len(frames) // self._length
    whole = frames[: count * self._length].reshape(count, self._length)
    self._frame = frames[count * self._length :]
    parts, given = [], 0
    for index, speaks in enumerate(self._detector(whole).tolist()):
      turns = self._turns(speaks)
      if turns:
        until = (index + 1) * self._length - before
        parts.append(self._turned(waveform[given:until]))
        given = until
    return parts + self._rest(waveform[given:])

  def finish(self) -> list[Part]:
    """Speech at the very end that is too short to have begun a sentence, or the
    end of the last one."""
    if self._is_inside:
      self._is_inside = False
      return [Part(self._num_samples, np.zeros(0, np.float32), False, True)]
    if not self._speech:
      return []
    size = (self._speech + self._pause) * self._length + len(self._frame)
    return [self._begun(self._held[-size:])._replace(ends=True)]

  def _turns(self, speaks: bool) -> bool:
    """Whether a sentence begins or ends with this frame."""
    self._speech = self._speech + 1 if speaks else 0
    is_spoken = self._speech >= self._onset
    self._quiet = 0 if is_spoken else self._quiet + 1
    is_ended = self._quiet >= self._pause and not speaks
    turns = is_ended if self._is_inside else is_spoken
    self._is_inside ^= turns
    return turns

  def _turned(self, waveform: _Waveform) -> Part:
    """The last part of a sentence, or the first."""
    if not self._is_inside:
      start = self._num_samples
      self._num_samples += len(waveform)
      return Part(start, waveform, False, True)
    self._num_samples += len(waveform)
    size = (self._onset + self._pause) * self._length
    part = self._begun(np.concatenate([self._held, waveform])[-size:])
    self._held = np.zeros(0, np.float32)
    return part

  def _begun(self, waveform: _Waveform) -> Part:
    return Part(self._num_samples - len(waveform), waveform, True, False)

  def _rest(self, waveform: _Waveform) -> list[Part]:
    """Samples behind the last turn."""
    start = self._num_samples
    self._num_samples += len(waveform)
    if self._is_inside:
      return [Part(start, waveform, False, False)] if len(waveform) else []
    # A frame more than a sentence begins with, for one that is not whole.
    size = (self._onset + self._pause + 1) * self._length
    self._held = np.concatenate([self._held, waveform])[-size:]
    return []
