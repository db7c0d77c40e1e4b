"""From `config.data` to the sets that a model is trained and measured on."""

from collections.abc import Callable
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.corpora import (
  audit,
  corpus,
  dataset,
  problem,
  split,
  store,
  utterance,
)
from fedjax_asr.speech import features


class Datasets(NamedTuple):
  """Disjoint sets of usable utterances, and what was found on the way."""

  train: dataset.Dataset
  heldout_speakers: dataset.Dataset
  heldout_utterances: dataset.Dataset
  # Of the training set, for global normalisation; None otherwise.
  statistics: features.Statistics | None
  problems: list[problem.Problem]
  num_dropped_transcripts: int
  was_cached: bool


def prepare(
  data: config.DataConfig,
  cfg: config.FeaturesConfig,
  num_output_frames: Callable[[int], int],
  seed: int,
  report: store.Report,
) -> Datasets:
  """Loads, computes features (once), audits and splits the corpus.

  Args:
    data: where utterances come from.
    cfg: the features.
    num_output_frames: the model's output frames for so many input frames.
    seed: decides the split.
    report: called with (utterances done, all) while features are computed.

  Raises:
    CorpusError: there is nothing to train on, or an utterance is bad and
      `data.on_bad_utterance` is `error`.
  """
  loaded = corpus.load(data)
  feature_store = store.open_or_build(loaded.utterances, data, cfg, report)
  audited = audit.audit(
    loaded.utterances,
    feature_store.num_frames,
    feature_store.failures,
    num_output_frames,
  )
  problems = loaded.problems + audited.problems
  audit.settle(problems, data.on_bad_utterance)
  if not audited.kept:
    first = problems[0]
    raise utterance.CorpusError(
      f'{data.path}: no usable utterance; {len(problems)} problems, the first: '
      f'{first.source}: {first.reason}'
    )
  kept = [loaded.utterances[index] for index in audited.kept]
  parts = split.split(kept, data, seed, loaded.heldout_speakers)

  def subset(positions, statistics=None):
    indices = [audited.kept[position] for position in positions]
    return dataset.Dataset(
      loaded.utterances, feature_store, indices, cfg.normalization, statistics
    )

  statistics = None
  if cfg.normalization is config.Normalization.GLOBAL:
    indices = (audited.kept[position] for position in parts.train)
    statistics = features.statistics(map(feature_store.features, indices))
  return Datasets(
    train=subset(parts.train, statistics),
    heldout_speakers=subset(parts.heldout_speakers, statistics),
    heldout_utterances=subset(parts.heldout_utterances, statistics),
    statistics=statistics,
    problems=problems,
    num_dropped_transcripts=parts.num_dropped_transcripts,
    was_cached=not feature_store.was_built,
  )
