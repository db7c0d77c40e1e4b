"""Trains a finished run on each speaker by itself, and says what that gains."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import rich.console

from fedjax_asr import (
  config,
  json_file,
  run_directory,
  saved_run,
)
from fedjax_asr.corpora import audit, dataset, problem
from fedjax_asr.decoding import evaluation, text_decoder
from fedjax_asr.federated import client_report, fine_tuning, partition
from fedjax_asr.jobs import (
  disk_errors,
  evaluated_set,
  personalisation_report,
  preparation,
  run_memory,
)


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `personalisation.json` in the work directory.

  A function of the config and the run: which of a speaker's utterances are
  trained on follows from the seed.

  Raises:
    UserError: of any room; the run itself is only read.
  """
  own = cfg.personalise
  saved = saved_run.load(own.run, 'personalise.run', own.round)
  saved_run.check_apart(saved, workdir)
  # Before any work: a language model may not be one.
  decoder = text_decoder.chosen(cfg.decode, saved.alphabet)
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    with preparation.reported(console) as told:
      chosen = evaluated_set.load(
        own.subset, 'personalise.subset', cfg.data, saved, told
      )
    splits = _splits(chosen.examples, own, cfg.seed)
    heard = _heard(cfg, saved, decoder, chosen.examples, splits, console)
    num_left_out = len(set(chosen.examples.speakers)) - len(splits)
    report = _described(cfg, saved) | personalisation_report.measured(
      heard, num_left_out, saved.alphabet.has_words
    )
    directory.begin()
    with disk_errors.explained(directory.path):
      audit.write(chosen.problems, directory.skipped)
      json_file.write(directory.personalisation, report)
  for line in (
    f'round {saved.round} of {saved.path}, {own.subset}',
    *problem.told(chosen.problems),
    *personalisation_report.lines(report),
    f'written: {directory.personalisation}',
  ):
    console.print(line)


def _splits(
  examples: dataset.Dataset, own: config.PersonaliseConfig, seed: int
) -> dict[str, fine_tuning.Split]:
  """Of each speaker with something to train on and something to evaluate."""
  speakers = np.asarray(examples.speakers)
  names = sorted(set(examples.speakers))
  splits = {}
  for index, name in enumerate(names):
    found = np.flatnonzero(speakers == name)
    if len(found) > 1:
      splits[name] = fine_tuning.split(found, own.train_fraction, seed, index)
  if not splits:
    raise config.ConfigError(
      f'config.personalise.subset={own.subset.value!r}: none of its '
      f'{len(names)} speakers has two utterances; want another subset.'
    )
  return splits


def _heard(
  cfg: config.Config,
  saved: saved_run.SavedRun,
  decoder: text_decoder.TextDecoder,
  examples: dataset.Dataset,
  splits: Mapping[str, fine_tuning.Split],
  console: rich.console.Console,
) -> dict[str, personalisation_report.Heard]:
  """By speaker, in order of name."""
  own = cfg.personalise
  recognizer = evaluation.decoded_by(decoder, saved.acoustic)
  evaluation_config = config.EvaluationConfig(batch_size=own.batch_size)
  personal = run_memory.personal_models(saved)
  names = list(splits)

  def recognised(name, params, norm_state):
    evaluator = evaluation.Evaluator(
      recognizer, examples, evaluation_config, splits[name].evaluated
    )
    result = evaluator(params, norm_state)
    if result is None:
      raise AssertionError('a split has something to evaluate')
    return result.transcripts

  heard = {}
  with preparation.reported(console, 'training on speakers') as report:
    for tuned in fine_tuning.fine_tuned(
      saved.acoustic,
      saved.params,
      saved.norm_state,
      [partition.Client(name, splits[name].trained) for name in names],
      examples,
      fine_tuning.settings(
        saved.config.federated, own.num_steps, own.learning_rate
      ),
      saved.config.augment,
      cfg.seed,
    ):
      name = names[tuned.client]
      kept = personal(name)
      heard[name] = personalisation_report.Heard(
        split=splits[name],
        before=recognised(name, saved.params, saved.norm_state),
        after=recognised(name, tuned.params, tuned.norm_state),
        personal=None if kept is None else recognised(name, *kept),
        has_diverged=not client_report.is_finite(tuned.params),
      )
      report(len(heard), len(names))
  return {name: heard[name] for name in names}


def _described(cfg: config.Config, saved: saved_run.SavedRun) -> dict[str, Any]:
  """What was measured: reports that differ here are not compared."""
  own = cfg.personalise
  whole = own.subset is config.Subset.CORPUS
  return {
    'run': str(saved.path),
    'round': saved.round,
    'subset': own.subset.value,
    'data': config.as_dict(cfg.data if whole else saved.config.data),
    'decode': config.as_dict(cfg.decode),
    'seed': cfg.seed,
    'train_fraction': own.train_fraction,
    'num_steps': own.num_steps,
    'learning_rate': own.learning_rate,
  }
