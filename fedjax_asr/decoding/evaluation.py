"""WER, CER and CTC loss of a model on a dataset, per speaker too."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.decoding import greedy, scores, text_decoder
from fedjax_asr.models import ctc, model

_FRAME_QUANTUM = 64
_LABEL_QUANTUM = 16

# (params, norm_state, *batch) -> (text of each real utterance, CTC losses).
Recognizer = Callable[..., tuple[Sequence[str], np.ndarray]]


class Evaluation(NamedTuple):
  """Scores of a set; `loss` is the mean CTC loss in nats per utterance.

  has_words: else each character counts as a word.
  """

  total: scores.Score
  by_speaker: dict[str, scores.Score]
  loss: float
  transcripts: list[scores.Transcript]
  has_words: bool


def decoded_greedily(acoustic: model.Model) -> Recognizer:
  """Decodes greedily where the model runs, so that no logits are fetched."""
  forward = _forward(acoustic, greedy.path)

  def recognize(params, norm_state, features, num_frames, *labels):
    results = forward(params, norm_state, features, num_frames, *labels)
    paths, losses = jax.device_get(results)
    real = num_frames > 0
    return greedy.transcripts(paths[real], acoustic.alphabet), losses[real]

  return recognize


def decoded_by(
  decoder: text_decoder.TextDecoder, acoustic: model.Model
) -> Recognizer:
  """Decodes on the host, from logits of real utterances."""
  forward = _forward(acoustic, lambda *outputs: outputs)

  def recognize(params, norm_state, features, num_frames, *labels):
    results = forward(params, norm_state, features, num_frames, *labels)
    (logits, num_outputs), losses = jax.device_get(results)
    real = num_frames > 0
    return decoder(logits[real], num_outputs[real]), losses[real]

  return recognize


def _forward(acoustic: model.Model, of_outputs: Callable[..., Any]):
  """(params, norm_state, *batch) -> (of_outputs(logits, num_outputs), CTC
  losses), jitted."""

  def forward(params, norm_state, features, num_frames, labels, num_labels):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, features, num_frames, train=False
    )
    losses = ctc.loss(logits, num_outputs, labels, num_labels)
    return of_outputs(logits, num_outputs), losses

  return jax.jit(forward)


class Evaluator:
  """Recognises one dataset again and again, in a bounded number of shapes.

  Utterances are batched in order of length and padded to a multiple of 64
  frames. Where `cfg.max_utterances` leaves some out, the others are evenly
  spaced over the dataset.
  """

  def __init__(
    self,
    recognizer: Recognizer,
    examples: dataset.Dataset,
    cfg: config.EvaluationConfig,
    positions: Int[np.ndarray, ' chosen'] | None = None,
  ):
    """Evaluators that share a recogniser share what it compiles.

    `positions`: of the utterances in question; None: all.
    """
    if positions is None:
      positions = np.arange(len(examples))
    self._examples = examples
    self._has_words = examples.alphabet.has_words
    longest = max(map(len, examples.labels), default=0)
    self._num_labels = -(-longest // _LABEL_QUANTUM) * _LABEL_QUANTUM
    self._batches = _length_batches(examples.num_frames, positions, cfg)
    self._recognizer = recognizer

  def __call__(
    self,
    params: model.Params,
    norm_state: model.NormState,
    report: Callable[[int, int], None] = lambda done, total: None,
  ) -> Evaluation | None:
    """Scores of the whole set; None if it has no utterance.

    `report(batches done, all)` is called after each.
    """
    transcripts, losses = [], []
    for index, positions in enumerate(self._batches):
      batch = self._batch(positions)
      hypotheses, batch_losses = self._recognizer(params, norm_state, *batch)
      losses.extend(batch_losses)
      real = positions[positions >= 0]
      transcripts += map(self._transcript, real, hypotheses)
      report(index + 1, len(self._batches))
    if not transcripts:
      return None
    return Evaluation(
      total=scores.score(transcripts, self._has_words),
      by_speaker=scores.score_speakers(transcripts, self._has_words),
      loss=float(np.mean(losses)),
      transcripts=transcripts,
      has_words=self._has_words,
    )

  def _batch(self, positions):
    longest = self._examples.num_frames[positions[positions >= 0]].max()
    frames = -(-int(longest) // _FRAME_QUANTUM) * _FRAME_QUANTUM
    return self._examples.batch(positions, frames, self._num_labels)

  def _transcript(self, position, hypothesis):
    return scores.Transcript(
      utterance=self._examples.ids[position],
      speaker=self._examples.speakers[position],
      reference=self._examples.texts[position],
      hypothesis=hypothesis,
    )


def _length_batches(
  num_frames: np.ndarray, positions: np.ndarray, cfg: config.EvaluationConfig
) -> list[np.ndarray]:
  """Positions in order of length, cut in batches, -1 for padding."""
  count = min(cfg.max_utterances or len(positions), len(positions))
  chosen = positions[np.arange(count) * len(positions) // max(count, 1)]
  chosen = chosen[np.argsort(num_frames[chosen], kind='stable')]
  padding = np.full(-len(chosen) % cfg.batch_size, -1)
  padded = np.concatenate([padding, chosen])
  return list(padded.reshape(-1, cfg.batch_size))
