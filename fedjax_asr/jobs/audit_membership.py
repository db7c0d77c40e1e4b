"""Which utterances, and which speakers, a run was trained on."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.console

from fedjax_asr import config, run_files, streams
from fedjax_asr.audits import losses, membership, trainings
from fedjax_asr.federated import server
from fedjax_asr.jobs import (
  audit_updates,
  audited_run,
  membership_scores,
  preparation,
  run_secret,
  starting_point,
)


def measured(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  directory: run_files.RunFiles,
  console: rich.console.Console,
) -> dict[str, Any]:
  """Of `audit.json`; what cannot be measured says why in its place.

  Raises:
    ConfigError: more rounds than the run has.
    TrainingError: a shadow's training went wrong.
  """
  del directory
  own = cfg.audit.membership
  if own.num_rounds > audited.settings.num_rounds:
    raise config.ConfigError(
      f'config.audit.membership.num_rounds={own.num_rounds}; want at most the '
      f'{audited.settings.num_rounds} of {audited.saved.path}.'
    )
  seconds: dict[str, float] = {}
  record: dict[str, Any] = {'confidence': cfg.audit.confidence}
  repeated, missing = _repeated(audited)
  candidates = _candidates(audited, repeated)
  # Where the training cannot be repeated, nobody counts who was drawn.
  never = None if repeated is None else int((~candidates.is_asked).sum())
  shadows = None
  if repeated is not None and own.num_shadows + own.num_speaker_shadows:
    started = time.perf_counter()
    shadows = _trained(audited, cfg, repeated, candidates, console)
    seconds['shadows'] = time.perf_counter() - started
  elif repeated is not None:
    missing = 'config.audit.membership.num_shadows=0'
  started = time.perf_counter()
  heard = _heard(audited, cfg, candidates, shadows, console)
  seconds['losses'] = time.perf_counter() - started
  is_finite = np.isfinite(heard.target)
  candidates = candidates._replace(is_asked=candidates.is_asked & is_finite)
  record |= {
    'num_rounds': own.num_rounds or audited.saved.round,
    'num_shadows': len(heard.of_utterances),
    'num_speaker_shadows': len(heard.of_speakers),
    'shadows_missing': missing,
    'num_never_trained_on': never,
    'num_without_alignment': int((~is_finite).sum()),
    'utterances': membership_scores.of_utterances(
      cfg, candidates, heard, shadows
    ),
  }
  for name, kind in (
    ('speakers', membership_scores.TRAINED),
    ('speakers_by_other_speech', membership_scores.OF_SAME_SPEAKERS),
  ):
    record[name] = membership_scores.of_speakers(
      cfg, candidates, heard, shadows, kind
    )
  started = time.perf_counter()
  record['updates'] = audit_updates.measured(audited, cfg, console)
  seconds['updates'] = time.perf_counter() - started
  for line in _lines(record):
    console.print(line)
  return record | {'seconds': seconds}


def _repeated(
  audited: audited_run.AuditedRun,
) -> tuple[trainings.Trainings | None, str | None]:
  """The run's training, to be repeated; or why it cannot be."""
  try:
    found = trainings.Trainings(
      audited.saved.acoustic,
      audited.settings,
      audited.saved.config.augment,
      audited.clients,
      audited.examples,
      audited.saved.config.seed,
      run_secret.of_saved(audited.saved.path, audited.settings),
    )
  except trainings.TrainingError as error:
    return None, str(error)
  return found, None


def _candidates(
  audited: audited_run.AuditedRun, repeated: trainings.Trainings | None
) -> membership_scores.Candidates:
  sets = (
    audited.examples,
    audited.heldout_utterances,
    audited.heldout_speakers,
  )
  names = [name for each in sets for name in each.speakers]
  is_asked = np.ones(len(names), bool)
  if repeated is not None:
    used = repeated.times_used(audited.saved.round)
    is_asked[: len(used)] = used > 0
  return membership_scores.Candidates(
    examples=sets,
    kind=np.repeat(np.arange(3), [len(each) for each in sets]),
    speaker=np.unique(names, return_inverse=True)[1],
    num_labels=np.array([len(item) for each in sets for item in each.labels]),
    is_asked=is_asked,
  )


def _trained(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  repeated: trainings.Trainings,
  candidates: membership_scores.Candidates,
  console: rich.console.Console,
) -> membership_scores.Shadows:
  """All shadows, of both kinds, by one program.

  They begin where the run began, which everybody is told, and have its
  cohorts; what its clients and its noise drew they do not know.
  """
  own = cfg.audit.membership
  halves = [
    membership.left_out(
      count,
      size,
      streams.rng(cfg.seed, streams.Stream.SHADOW_HALVES, kind),
    )
    for kind, (count, size) in enumerate(
      (
        (own.num_shadows, len(candidates.kind)),
        (own.num_speaker_shadows, int(candidates.speaker.max()) + 1),
      )
    )
  ]
  num_trained = len(audited.examples)
  is_out = np.concatenate([halves[0], halves[1][:, candidates.speaker]])
  start = starting_point.begun(
    audited.saved.config, audited.saved.acoustic, len(audited.clients)
  )
  with preparation.reported(console, 'shadow trainings') as report:
    values = repeated.train(
      start,
      ~is_out[:, :num_trained],
      randomness(cfg.seed, len(is_out)),
      own.num_rounds or audited.saved.round,
      own.num_parallel,
      report,
    )
  return membership_scores.Shadows(values, *halves)


def randomness(seed: int, count: int) -> trainings.Randomness:
  """Of so many trainings, none of which shares any with the run."""

  def keys(stream):
    return jnp.stack([streams.key(seed, stream, each) for each in range(count)])

  return trainings.Randomness(
    keys=keys(streams.Stream.SHADOW),
    secrets=keys(streams.Stream.SHADOW_NOISE),
  )


def _heard(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  candidates: membership_scores.Candidates,
  shadows: membership_scores.Shadows | None,
  console: rich.console.Console,
) -> membership_scores.Heard:
  own = cfg.audit.membership
  saved = audited.saved
  target = server.Values(saved.params, saved.norm_state)
  models = jax.tree.map(lambda leaf: np.asarray(leaf)[None], target)
  if shadows is not None:
    models = jax.tree.map(
      lambda *leaves: np.concatenate(leaves), models, shadows.values
    )
  of = losses.Losses(
    saved.acoustic,
    own.batch_size,
    own.num_perturbations,
    own.perturbation_scale,
  )
  key = streams.key(cfg.seed, streams.Stream.PERTURBATION)
  found, perturbed = [], []
  for index, examples in enumerate(candidates.examples):
    if not len(examples):
      continue
    with preparation.reported(console, 'losses of candidates') as report:
      found.append(of(models, examples, report))
    if own.num_perturbations:
      own_key = jax.random.fold_in(key, index)
      with preparation.reported(console, 'losses under noise') as report:
        perturbed.append(of.perturbed(target, examples, own_key, report))
  nats = np.concatenate(found, 1)
  last = 1 + (0 if shadows is None else len(shadows.utterances))
  return membership_scores.Heard(
    target=nats[0],
    of_utterances=nats[1:last],
    of_speakers=nats[last:],
    perturbed=np.concatenate(perturbed, 1) if perturbed else None,
  )


def _lines(record: Mapping[str, Any]) -> list[str]:
  """The areas, for a terminal."""
  parts = {
    'utterances': record['utterances'],
    'speakers': record['speakers'],
    'speakers by other speech': record['speakers_by_other_speech'],
    'updates': record['updates'],
  }
  told = []
  for name, part in parts.items():
    if 'missing' in part:
      told.append(f'membership of {name}: not measured: {part["missing"]}')
      continue
    areas = [
      f'{score} {values["auc"]:.3f}'
      if 'auc' in values
      else f'{score} not measured: {values["missing"]}'
      for score, values in part['scores'].items()
    ]
    told.append(f'membership of {name}, AUC: {", ".join(areas)}')
  return told
