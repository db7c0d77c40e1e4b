"""Greedy WER and CER of a model on a dataset, per speaker too."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jiwer
import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.models import ctc, decode, model

_FRAME_QUANTUM = 64
_LABEL_QUANTUM = 16

Decoder = Callable[..., tuple[jax.Array, jax.Array]]


class Transcript(NamedTuple):
  """What was said and what was recognised."""

  utterance: str
  speaker: str
  reference: str
  hypothesis: str


class Score(NamedTuple):
  """Errors over all words or characters together; rates may exceed 1."""

  wer: float
  cer: float
  num_utterances: int


class Evaluation(NamedTuple):
  """Scores of a set; `loss` is the mean CTC loss in nats per utterance."""

  total: Score
  by_speaker: dict[str, Score]
  loss: float
  transcripts: list[Transcript]


def decoder(acoustic: model.Model) -> Decoder:
  """(params, norm_state, *batch) -> (greedy paths, CTC losses), jitted."""

  def forward(params, norm_state, features, num_frames, labels, num_labels):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, features, num_frames, train=False
    )
    losses = ctc.loss(logits, num_outputs, labels, num_labels)
    return decode.greedy_path(logits, num_outputs), losses

  return jax.jit(forward)


class Evaluator:
  """Decodes one dataset again and again, in a bounded number of shapes.

  Utterances are batched in order of length and padded to a multiple of 64
  frames. Where `cfg.max_utterances` leaves some out, the others are evenly
  spaced over the dataset.
  """

  def __init__(
    self,
    decoder: Decoder,
    examples: dataset.Dataset,
    cfg: config.EvaluationConfig,
  ):
    """Evaluators that share a `decoder(acoustic)` share what it compiles."""
    self._examples = examples
    longest = max(map(len, examples.labels), default=0)
    self._num_labels = -(-longest // _LABEL_QUANTUM) * _LABEL_QUANTUM
    self._batches = _length_batches(examples.num_frames, cfg)
    self._decoder = decoder

  def __call__(
    self, params: model.Params, norm_state: model.NormState
  ) -> Evaluation | None:
    """Scores of the whole set; None if it has no utterance."""
    transcripts, losses = [], []
    for positions in self._batches:
      paths, batch_losses = self._decoded(params, norm_state, positions)
      real = positions >= 0
      losses.extend(batch_losses[real])
      hypotheses = decode.transcripts(paths[real])
      transcripts += map(self._transcript, positions[real], hypotheses)
    if not transcripts:
      return None
    return Evaluation(
      total=score(transcripts),
      by_speaker=score_speakers(transcripts),
      loss=float(np.mean(losses)),
      transcripts=transcripts,
    )

  def _decoded(self, params, norm_state, positions):
    longest = self._examples.num_frames[positions[positions >= 0]].max()
    frames = -(-int(longest) // _FRAME_QUANTUM) * _FRAME_QUANTUM
    batch = self._examples.batch(positions, frames, self._num_labels)
    paths, losses = self._decoder(params, norm_state, *batch)
    return np.asarray(paths), np.asarray(losses)

  def _transcript(self, position, hypothesis):
    return Transcript(
      utterance=self._examples.ids[position],
      speaker=self._examples.speakers[position],
      reference=self._examples.texts[position],
      hypothesis=hypothesis,
    )


def score(transcripts: list[Transcript]) -> Score:
  """WER and CER by jiwer, which weighs every word of the set alike."""
  references = [item.reference for item in transcripts]
  hypotheses = [item.hypothesis for item in transcripts]
  return Score(
    wer=float(jiwer.wer(references, hypotheses)),
    cer=float(jiwer.cer(references, hypotheses)),
    num_utterances=len(transcripts),
  )


def score_speakers(transcripts: list[Transcript]) -> dict[str, Score]:
  """Scores of each speaker, by name."""
  by_speaker: dict[str, list[Transcript]] = {}
  for item in transcripts:
    by_speaker.setdefault(item.speaker, []).append(item)
  return {name: score(by_speaker[name]) for name in sorted(by_speaker)}


def _length_batches(
  num_frames: np.ndarray, cfg: config.EvaluationConfig
) -> list[np.ndarray]:
  """Positions in order of length, cut in batches, -1 for padding."""
  count = min(cfg.max_utterances or len(num_frames), len(num_frames))
  chosen = np.arange(count) * len(num_frames) // max(count, 1)
  chosen = chosen[np.argsort(num_frames[chosen], kind='stable')]
  padding = np.full(-len(chosen) % cfg.batch_size, -1)
  padded = np.concatenate([padding, chosen])
  return list(padded.reshape(-1, cfg.batch_size))
