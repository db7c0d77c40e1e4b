"""The utterances that a subset of a run, or of a corpus, names."""

from typing import NamedTuple

from fedjax_asr import config, run_directory, saved_run
from fedjax_asr.corpora import (
  dataset,
  datasets,
  problem,
  store,
  utterance,
)


class EvaluatedSet(NamedTuple):
  """Utterances, one or more, and what was found to be wrong in the corpus."""

  examples: dataset.Dataset
  problems: list[problem.Problem]


def load(
  subset: config.Subset,
  field: str,
  data: config.DataConfig,
  run: saved_run.SavedRun,
  report: store.Report,
) -> EvaluatedSet:
  """Features as the run was trained on them, by its own statistics.

  Subsets of the run are those of its split, found again from its config;
  `corpus` is all of `data` that can be used.

  Args:
    field: the config field that named the subset, for messages.

  Raises:
    UserError: the corpus cannot be read, is no longer that of the run, or has
      no utterance in the subset.
  """
  if subset is config.Subset.CORPUS:
    return _whole_corpus(data, run, report)
  parts = datasets.prepare(
    run.config.data,
    run.config.features,
    run.acoustic.num_output_frames,
    run.config.seed,
    report,
  )
  _check_same_split(run, parts)
  chosen = {
    config.Subset.HELDOUT_SPEAKERS: parts.heldout_speakers,
    config.Subset.HELDOUT_UTTERANCES: parts.heldout_utterances,
    config.Subset.TRAIN: parts.train,
  }[subset]
  if not len(chosen):
    raise config.ConfigError(
      f'config.{field}={subset.value!r}: the run '
      f'{run.path} has no such utterances; want another subset.'
    )
  return EvaluatedSet(chosen, parts.problems)


def _whole_corpus(
  data: config.DataConfig, run: saved_run.SavedRun, report: store.Report
) -> EvaluatedSet:
  features = run.config.features
  found = datasets.usable(
    data, features, run.acoustic.num_output_frames, report
  )
  examples = dataset.Dataset(
    found.utterances,
    found.store,
    found.kept,
    features.normalization,
    run.statistics,
  )
  return EvaluatedSet(examples, found.problems)


def _check_same_split(
  run: saved_run.SavedRun, parts: datasets.Datasets
) -> None:
  """Raises where what the run held out is not what is held out now.

  A corpus that has changed is split otherwise: speech that the model was
  trained on would pass for held out.
  """
  file = run.path / 'transcripts.json'
  if not file.exists():  # A run that nothing was held out of.
    return
  held_out = parts.heldout_speakers
  if not len(held_out):
    held_out = parts.heldout_utterances
  now = dict(zip(held_out.ids, held_out.texts, strict=True))
  then = run_directory.read_json(file)['transcripts']
  for item in then:
    if now.get(item['utterance']) != item['reference']:
      raise utterance.CorpusError(
        f'{run.path}: held out {item["utterance"]!r} in training, and would '
        'not now: its corpus has changed. Evaluate subset=corpus instead.'
      )
