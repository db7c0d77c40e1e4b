"""The utterances that a subset of a run, or of a corpus, names."""

from typing import NamedTuple

from fedjax_asr import config, saved_run
from fedjax_asr.corpora import dataset, datasets, problem, store
from fedjax_asr.jobs import run_corpus


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

  Subsets of the run are those of its split, found again from its config, where
  `data` may say that speech or features lie elsewhere now; `corpus` is all of
  `data` that can be used.

  Args:
    field: the config field that named the subset, for messages.

  Raises:
    UserError: the corpus cannot be read, is no longer that of the run, or has
      no utterance in the subset.
  """
  if subset is config.Subset.CORPUS:
    return _whole_corpus(data, run, report)
  parts = run_corpus.prepare(run, data, report)
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
    data, features, run.acoustic.num_output_frames, report, run.alphabet
  )
  examples = dataset.Dataset(
    found.utterances,
    found.store,
    found.kept,
    run.alphabet,
    features.normalization,
    run.statistics,
  )
  return EvaluatedSet(examples, found.problems)
