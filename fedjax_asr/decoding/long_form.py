"""Recognition of recordings of any length, in bounded memory.

A recording is cut into stretches of speech where there are pauses
(`speech.pauses`), each of which is recognised by itself. A longer one is cut
into overlapping windows (`speech.windows`), whose logits are joined where the
overlaps are cut. Decoding goes along the joined logits:
what has come so far is decoded up to the last frame that reads as a space or,
where there is none, as a blank, and the rest waits for the next window. Greedy
decoding gives what decoding all logits at once would, spaces that double
apart: no word is cut and no letter repeated. A beam's language model starts
anew after each such cut.

Normalisation by utterance is by stretch here, or by window, and a bidirectional
model sees no more. A language model starts anew with each stretch.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float32

from fedjax_asr import config
from fedjax_asr.decoding import text_decoder
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets, audio, features, pauses, windows

# A window is padded to one of these parts of the longest: so many shapes.
_PARTS = (8, 4, 2, 1)
_DECODED_QUANTUM = 256
# Outputs that wait for a space or a blank at most: a model that has learnt
# nothing may give none.
_MAX_WAITING = 8192
_IMPOSSIBLE = -100.0

Logits = Float32[np.ndarray, '_ vocab']
Stretches = Iterator[pauses.Stretch]


class Segment(NamedTuple):
  """Text between two moments of a recording, in seconds."""

  start: float
  end: float
  text: str


class Recording(NamedTuple):
  """What was recognised, and what a listener should know."""

  seconds: float
  text: str
  segments: list[Segment]
  is_silent: bool


def time_stride(acoustic: model.Model) -> int:
  """Feature frames to an output."""
  stride = 1
  while acoustic.num_output_frames(stride + 1) == 1:
    stride += 1
  return stride


class Listener:
  """Logits of windows by one model, compiled for at most four lengths."""

  def __init__(
    self,
    acoustic: model.Model,
    params: model.Params,
    norm_state: model.NormState,
    cfg: config.FeaturesConfig,
    statistics: features.Statistics | None,
    sizes: windows.Layout,
  ):
    self._cfg = cfg
    self._statistics = statistics
    self.sizes = sizes
    self.sample_rate = cfg.sample_rate
    self.output_seconds = sizes.output_samples / cfg.sample_rate
    frames = sizes.num_outputs * sizes.stride
    self._lengths = [-(-frames // part) for part in _PARTS]
    self._weights = params, norm_state
    self._size = acoustic.alphabet.size

    def forward(weights, values, num_frames):
      return acoustic.apply(*weights, values, num_frames, train=False)[:2]

    self._forward = jax.jit(forward)

  def logits(self, waveform: Float32[np.ndarray, ' samples']) -> Logits:
    """One row for each output; blanks where there is silence.

    Raises:
      UserError: the model gives NaN or infinities.
    """
    values = features.extract(waveform, self._cfg)
    num_frames = len(values)
    # Normalised by itself it would be noise at the level of speech.
    if audio.is_silent(waveform):
      return _blanks(-(-num_frames // self.sizes.stride), self._size)
    values = features.normalize(
      values, self._cfg.normalization, self._statistics
    )
    length = next(size for size in self._lengths if size >= num_frames)
    padded = np.pad(values, ((0, length - num_frames), (0, 0)))
    logits, num_outputs = jax.device_get(
      self._forward(self._weights, padded[None], np.array([num_frames]))
    )
    logits = logits[0, : num_outputs[0]].astype(np.float32)
    if not np.isfinite(logits).all():
      raise config.UserError(
        'the logits are not finite; want a run whose training did not diverge.'
      )
    return logits


def whole(blocks: Iterable[Float32[np.ndarray, '_']]) -> Stretches:
  """A recording that is not cut at pauses."""
  yield pauses.Stretch(0, iter(blocks))


def recognized(
  blocks: Iterable[Float32[np.ndarray, '_']],
  listener: Listener,
  decoder: text_decoder.TextDecoder,
  alphabet: alphabets.Alphabet,
  report: Callable[[float], None],
  cut: Callable[[Iterable[Float32[np.ndarray, '_']]], Stretches] = whole,
) -> Recording:
  """All that is said; `report(seconds)` tells how far it has come, and `cut`
  finds the stretches between pauses.

  Raises:
    UserError: of the blocks, the listener or the decoder.
  """
  heard = _Heard(blocks)
  texts, segments = [], []
  for stretch in cut(heard.blocks()):
    before = stretch.start / listener.sample_rate
    joined = _Joined(decoder, alphabet, listener.output_seconds)
    seconds = 0.0
    for window in windows.cut(stretch.blocks, listener.sizes):
      logits = listener.logits(window.waveform)
      joined.add(logits[window.keep : window.until])
      seconds = window.start * listener.output_seconds
      seconds += len(window.waveform) / listener.sample_rate
      report(before + seconds)
    joined.finish(seconds)
    texts.append(joined.text)
    segments += [
      item._replace(start=before + item.start, end=before + item.end)
      for item in joined.segments
    ]
  joint = ' ' if alphabet.has_words else ''
  return Recording(
    seconds=heard.num_samples / listener.sample_rate,
    text=' '.join(joint.join(texts).split()),
    segments=segments,
    is_silent=heard.is_silent,
  )


class _Heard:
  """Blocks as they pass by."""

  def __init__(self, blocks: Iterable[Float32[np.ndarray, '_']]):
    self._blocks = blocks
    self.num_samples, self.is_silent = 0, True

  def blocks(self) -> Iterator[Float32[np.ndarray, '_']]:
    for block in self._blocks:
      self.num_samples += len(block)
      self.is_silent = self.is_silent and audio.is_silent(block)
      yield block


class _Joined:
  """Logits in order, decoded up to frames at which no word is cut."""

  def __init__(
    self,
    decoder: text_decoder.TextDecoder,
    alphabet: alphabets.Alphabet,
    output_seconds: float,
  ):
    self.text = ''
    self.segments: list[Segment] = []
    self._decoder = decoder
    self._alphabet = alphabet
    self._output_seconds = output_seconds
    self._waiting = np.zeros((0, alphabet.size), np.float32)
    self._num_decoded = 0

  def add(self, logits: Logits) -> None:
    """The next logits; decodes up to a frame that may be cut after."""
    self._waiting = np.concatenate([self._waiting, logits])
    best = self._waiting.argmax(axis=1)
    for places, joint in _cuts(best, self._alphabet):
      if len(places):
        count = int(places[-1]) + 1
        end = (self._num_decoded + count) * self._output_seconds
        self._decode(count, joint, end)
        return
    if len(best) > _MAX_WAITING:
      end = (self._num_decoded + len(best)) * self._output_seconds
      self._decode(len(best), '', end)

  def finish(self, seconds: float) -> None:
    """Decodes the rest, up to the end of the recording."""
    if len(self._waiting):
      self._decode(len(self._waiting), '', seconds)

  def _decode(self, count: int, joint: str, end: float) -> None:
    # Padded, because a decoder may be compiled for each length.
    padding = -count % _DECODED_QUANTUM
    logits = np.pad(self._waiting[:count], ((0, padding), (0, 0)))
    (heard,) = self._decoder(logits[None], np.array([count], np.int32))
    start = self._num_decoded * self._output_seconds
    self.text += heard + joint
    self.segments.append(Segment(start, end, ' '.join(heard.split())))
    self._num_decoded += count
    self._waiting = self._waiting[count:]


def _cuts(
  best: np.ndarray, alphabet: alphabets.Alphabet
) -> list[tuple[np.ndarray, str]]:
  """Places after which no word is cut, the best first, and what stands
  between the two texts."""
  blanks = np.flatnonzero(best == alphabets.BLANK)
  if alphabet.space is not None:
    spaces = np.flatnonzero(best == alphabet.space)
    return [(spaces, ' '), (blanks, '')]
  if not alphabet.has_words:
    return [(blanks, '')]
  # Where the unit that is heard next begins a word.
  heard = np.flatnonzero(best != alphabets.BLANK)
  following = np.searchsorted(heard, blanks)
  begins = np.append(alphabet.starts_word[best[heard]], False)
  return [(blanks[begins[following]], ' ')]


def _blanks(count: int, size: int) -> Logits:
  logits = np.full((count, size), _IMPOSSIBLE, np.float32)
  logits[:, alphabets.BLANK] = 0.0
  return logits
