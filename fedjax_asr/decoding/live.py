"""Words of speech while it is said."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int

from fedjax_asr import config
from fedjax_asr.models import model, streaming
from fedjax_asr.speech import alphabets, feature_stream, features


class Word(NamedTuple):
  """`start` and `end` are moments in seconds: of its first label's frame, and
  behind the frame that ended it. Of an alphabet without words: one symbol."""

  text: str
  start: float
  end: float


class LookAhead(NamedTuple):
  """Milliseconds of sound that the text of a moment waits for.

  features: the window of an output's own frame.
  convolutions, lookahead: frames behind it that the model sees.
  chunk: of speech that is computed at once, at most.
  """

  features: float
  convolutions: float
  lookahead: float
  chunk: float

  @property
  def total(self) -> float:
    return sum(self)


class Listener:
  """Logits of one stream after another by one model, compiled once.

  They are those of the model on the stream as a whole, but for rounding.
  """

  def __init__(
    self,
    cfg: config.Config,
    params: model.Params,
    norm_state: model.NormState,
    statistics: features.Statistics | None,
    alphabet: alphabets.Alphabet,
    chunk_seconds: float,
  ):
    """`cfg`: that of the run. Compiles.

    Raises:
      ConfigError: the model or its features cannot stream.
    """
    feature_stream.check(cfg.features)
    streaming.check(cfg.model)
    self._features = cfg.features
    self._statistics = statistics
    hop = features.hop_length(cfg.features)
    one = streaming.streaming(
      cfg.model, cfg.features.num_features, alphabet.size, 1
    )
    self.output_seconds = one.stride * hop / cfg.features.sample_rate
    self.model = streaming.streaming(
      cfg.model,
      cfg.features.num_features,
      alphabet.size,
      max(1, round(chunk_seconds / self.output_seconds)),
    )
    self.chunk_samples = self.model.chunk_frames * hop
    self._weights = params, norm_state
    self._step = jax.jit(self.model.step)
    self._chunk(self._no_frames(), streaming.ENDLESS, self.model.start())
    # What a stream imports late is loaded now: no first word waits for that.
    self.stream()

  @property
  def look_ahead(self) -> LookAhead:
    """By what the model sees, without the time that it takes."""
    hop = 1000 * features.hop_length(self._features)
    hop /= self._features.sample_rate
    return LookAhead(
      features=self._features.window_ms,
      convolutions=self.model.ahead * hop,
      lookahead=self.model.lookahead * hop,
      chunk=self.model.chunk_frames * hop,
    )

  def stream(self) -> 'Stream':
    """A new one."""
    frames = feature_stream.FeatureStream(self._features, self._statistics)
    return Stream(self, frames)

  def _no_frames(self) -> np.ndarray:
    return np.zeros((0, self._features.num_features), np.float32)

  def _chunk(self, values, num_frames, carry):
    """Real logits of a chunk that may lack frames behind the end."""
    missing = self.model.chunk_frames - len(values)
    padded = np.pad(values, ((0, missing), (0, 0)))
    outputs, carry = self._step(
      *self._weights, padded, np.int32(num_frames), carry
    )
    logits, is_real = jax.device_get(outputs)
    logits = logits[is_real].astype(np.float32)
    if not np.isfinite(logits).all():
      raise config.UserError(
        'the logits are not finite; want a run whose training did not diverge.'
      )
    return logits, carry


class Stream:
  """Samples in, logits out, as soon as they are determined."""

  def __init__(self, listener: Listener, frames: feature_stream.FeatureStream):
    self._listener = listener
    self._frames = frames
    self._waiting = listener._no_frames()
    self._carry = listener.model.start()

  def add(
    self, waveform: Float32[np.ndarray, ' samples']
  ) -> Float32[np.ndarray, '_ vocab']:
    """Logits that these samples determine, in whole chunks."""
    self._waiting = np.concatenate([self._waiting, self._frames.add(waveform)])
    return self._whole_chunks(streaming.ENDLESS)

  def finish(self) -> Float32[np.ndarray, '_ vocab']:
    """All others; none of a stream without a sample."""
    rest = np.concatenate([self._waiting, self._frames.finish()])
    num_frames = self._frames.num_frames
    if not num_frames:
      return np.zeros((0, self._vocab_size()), np.float32)
    made = self._listener.model
    late = made.delay * made.stride
    # Behind the end, whatever stands there counts as padding.
    self._waiting = np.pad(rest, ((0, late + made.chunk_frames), (0, 0)))
    return self._whole_chunks(num_frames)

  def _whole_chunks(self, num_frames):
    size, found = self._listener.model.chunk_frames, []
    while len(self._waiting) >= size:
      chunk, self._waiting = self._waiting[:size], self._waiting[size:]
      logits, self._carry = self._listener._chunk(
        chunk, num_frames, self._carry
      )
      found.append(logits)
    if not found:
      return np.zeros((0, self._vocab_size()), np.float32)
    return np.concatenate(found)

  def _vocab_size(self) -> int:
    return self._listener._weights[0]['output']['bias'].shape[0]


class GreedyWords:
  """Greedy CTC decoding that carries the last symbol along.

  The words are those of `greedy.texts` of all frames at once.
  """

  def __init__(self, alphabet: alphabets.Alphabet, output_seconds: float):
    self._alphabet = alphabet
    self._output_seconds = output_seconds
    self._last, self._num_outputs, self._start = alphabets.BLANK, 0, 0
    self._labels: list[int] = []

  def add(self, best: Int[np.ndarray, ' outputs']) -> list[Word]:
    """Words that end in these frames, by the likeliest symbol of each."""
    words = []
    for symbol in best.tolist():
      if symbol not in (self._last, alphabets.BLANK):
        words += self._heard(symbol)
      self._last = symbol
      self._num_outputs += 1
    return words

  def finish(self) -> list[Word]:
    """The last word."""
    return self._ended()

  def _heard(self, symbol: int) -> list[Word]:
    alphabet = self._alphabet
    if symbol == alphabet.space:
      return self._ended()
    ended = []
    if not alphabet.has_words or alphabet.starts_word[symbol]:
      ended = self._ended()
    if not self._labels:
      self._start = self._num_outputs
    self._labels.append(symbol)
    return ended

  def _ended(self) -> list[Word]:
    text = self._alphabet.decode(np.array(self._labels, np.int64)).strip()
    self._labels = []
    times = (self._start, self._num_outputs)
    start, end = (each * self._output_seconds for each in times)
    return [Word(text, start, end)] if text else []
