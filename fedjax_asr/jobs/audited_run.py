"""The run that is audited, and the speech of its clients."""

import dataclasses
import os
from typing import Any, NamedTuple

import rich.console

from fedjax_asr import config, environment, home, run_files, saved_run
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import partition
from fedjax_asr.jobs import preparation, run_corpus, train


class AuditedRun(NamedTuple):
  """A run at one of its rounds.

  settings: of its federated training.
  examples: what it was trained on, by its clients.
  heldout_utterances: of the same speakers; heldout_speakers: of others. Either
    may be empty.
  """

  saved: saved_run.SavedRun
  settings: config.FederatedConfig
  examples: dataset.Dataset
  clients: list[partition.Client]
  heldout_utterances: dataset.Dataset
  heldout_speakers: dataset.Dataset


def load(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  console: rich.console.Console,
) -> AuditedRun:
  """`config.audit.run` at its round; or one that this config trains first.

  That is in the folder `trained` of the work directory, where the same command
  goes on with it.

  Raises:
    UserError: of the run, its round or the corpus.
  """
  own = cfg.audit
  run = own.run
  if not run:
    run = str(home.expanded(workdir) / 'trained')
    train.run(dataclasses.replace(cfg, job=config.Job.TRAIN), run)
  saved = saved_run.load(run, 'audit.run', own.round, as_sent=True)
  saved_run.check_apart(saved, workdir)
  with preparation.reported(console) as report:
    parts = run_corpus.prepare(saved, cfg.data, report)
  settings = partition.settled(saved.config.federated, parts.train.clients)
  clients = partition.partition(
    parts.train.speakers,
    parts.train.texts,
    settings,
    saved.config.seed,
    parts.train.clients,
  )
  return AuditedRun(
    saved=saved,
    settings=settings,
    examples=parts.train,
    clients=clients,
    heldout_utterances=parts.heldout_utterances,
    heldout_speakers=parts.heldout_speakers,
  )


def described(audited: AuditedRun) -> dict[str, Any]:
  """What was audited, and by which versions.

  Results that differ here are not of one audit. `run_versions` are those that
  the run was trained by, last.
  """
  recorded = environment.read(
    run_files.RunFiles(audited.saved.path).versions_json
  )
  return {
    'run': str(audited.saved.path),
    'round': audited.saved.round,
    'versions': environment.versions(),
    'run_versions': recorded[-1] if recorded else None,
  }
