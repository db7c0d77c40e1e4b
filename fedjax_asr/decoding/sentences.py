"""Words of a stream of many sentences, each as if it were a file."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fedjax_asr.decoding import live
from fedjax_asr.speech import alphabets, endpoints


class Heard(NamedTuple):
  """Words of one sentence, with times of the stream; is it at its end?"""

  words: list[live.Word]
  ends: bool


class Sentences:
  """Samples in, words out.

  With a sentence everything begins anew: the features' running statistics, what
  the model carries, the last symbol. So its words are those of its samples
  alone, and what is kept does not grow.
  """

  def __init__(
    self,
    listener: live.Listener,
    alphabet: alphabets.Alphabet,
    endpointer: endpoints.Endpointer,
    sample_rate: int,
  ):
    self._listener, self._alphabet = listener, alphabet
    self._endpointer = endpointer
    self._sample_rate = sample_rate
    self._sentence: _Sentence | None = None

  def add(self, waveform: Float32[np.ndarray, ' samples']) -> list[Heard]:
    """What these samples determine."""
    return [self._heard(part) for part in self._endpointer.add(waveform)]

  def finish(self) -> list[Heard]:
    """What the stream's end determines."""
    return [self._heard(part) for part in self._endpointer.finish()]

  def _heard(self, part: endpoints.Part) -> Heard:
    if part.begins:
      start = part.start / self._sample_rate
      self._sentence = _Sentence(self._listener, self._alphabet, start)
    assert self._sentence is not None
    words = self._sentence.add(part.waveform)
    if part.ends:
      words += self._sentence.finish()
      self._sentence = None
    return Heard(words, part.ends)


class _Sentence:
  """`start`: its moment in the stream, in seconds."""

  def __init__(
    self, listener: live.Listener, alphabet: alphabets.Alphabet, start: float
  ):
    self._stream, self._start = listener.stream(), start
    self._words = live.GreedyWords(alphabet, listener.output_seconds)

  def add(self, waveform: Float32[np.ndarray, ' samples']) -> list[live.Word]:
    logits = self._stream.add(waveform)
    return self._placed(self._words.add(logits.argmax(1)))

  def finish(self) -> list[live.Word]:
    logits = self._stream.finish()
    last = self._words.add(logits.argmax(1)) + self._words.finish()
    return self._placed(last)

  def _placed(self, words: list[live.Word]) -> list[live.Word]:
    return [
      word._replace(start=self._start + word.start, end=self._start + word.end)
      for word in words
    ]
