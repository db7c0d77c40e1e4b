"""Which utterances, and which speakers, a run was trained on."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
from jaxtyping import Bool, Float, Int

from fedjax_asr import config, run_files, streams
from fedjax_asr.audits import losses, membership, roc, trainings
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import server
from fedjax_asr.jobs import (
  audit_updates,
  audited_run,
  preparation,
  starting_point,
)

# Of `Candidates.kind`.
_TRAINED, _OF_SAME_SPEAKERS, _OF_OTHERS = 0, 1, 2
# Fewer give no curve.
_FEWEST = 2
_Scores = Mapping[str, Float[np.ndarray, ' units']]


class Candidates(NamedTuple):
  """All utterances that are asked about, in the order of the three sets.

  kind: trained on; held out, of speakers who trained; of others.
  is_asked: the run drew it, or it is held out; and it has an alignment.
  """

  examples: tuple[dataset.Dataset, ...]
  kind: Int[np.ndarray, ' utterances']
  speaker: Int[np.ndarray, ' utterances']
  num_labels: Int[np.ndarray, ' utterances']
  is_asked: Bool[np.ndarray, ' utterances']


class _Shadows(NamedTuple):
  """Who is out of which; `values` of both kinds, those of utterances first.

  utterances: [shadows, utterances]; speakers: [shadows, speakers].
  """

  values: server.Values
  utterances: Bool[np.ndarray, 'shadows utterances']
  speakers: Bool[np.ndarray, 'shadows speakers']


class _Heard(NamedTuple):
  """Nats of every candidate, by the run and by shadows; and how much more
  under noise, None where there was none."""

  target: Float[np.ndarray, ' utterances']
  of_utterances: Float[np.ndarray, 'shadows utterances']
  of_speakers: Float[np.ndarray, 'shadows utterances']
  perturbed: Float[np.ndarray, 'perturbations utterances'] | None


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
    'utterances': _of_utterances(cfg, candidates, heard, shadows),
  }
  for name, kind in (
    ('speakers', _TRAINED),
    ('speakers_by_other_speech', _OF_SAME_SPEAKERS),
  ):
    record[name] = _of_speakers(cfg, candidates, heard, shadows, kind)
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
    )
  except trainings.TrainingError as error:
    return None, str(error)
  return found, None


def _candidates(
  audited: audited_run.AuditedRun, repeated: trainings.Trainings | None
) -> Candidates:
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
  return Candidates(
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
  candidates: Candidates,
  console: rich.console.Console,
) -> _Shadows:
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
  return _Shadows(values, *halves)


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
  candidates: Candidates,
  shadows: _Shadows | None,
  console: rich.console.Console,
) -> _Heard:
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
  return _Heard(
    target=nats[0],
    of_utterances=nats[1:last],
    of_speakers=nats[last:],
    perturbed=np.concatenate(perturbed, 1) if perturbed else None,
  )


def _rmia(cfg: config.Config) -> membership.Rmia:
  own = cfg.audit.membership
  return membership.Rmia(own.rmia_offline_a, own.rmia_gamma)


def _of_utterances(
  cfg: config.Config,
  candidates: Candidates,
  heard: _Heard,
  shadows: _Shadows | None,
) -> dict[str, Any]:
  """Trained on, against held out of the same speakers."""
  # Those of other speakers are what RMIA compares with.
  asked = np.flatnonzero(candidates.is_asked)
  kind, num_labels = candidates.kind[asked], candidates.num_labels[asked]
  target = heard.target[asked]
  missing = _missing(kind, _TRAINED, _OF_SAME_SPEAKERS, 'utterances')
  if missing:
    return {'missing': missing}
  found = {'loss': -target, 'loss_per_label': -target / num_labels}
  if heard.perturbed is not None:
    rise = np.log(np.maximum(heard.perturbed[:, asked], 1e-6)).mean(0)
    found['perturbed_loss'] = rise - np.log(np.maximum(target, 1e-6))
  record: dict[str, Any] = {}
  if shadows is not None and len(heard.of_utterances):
    is_out = shadows.utterances[:, asked]
    of_shadows = heard.of_utterances[:, asked]
    scaled = membership.scaled(of_shadows, num_labels)
    record['skewness'] = {
      'of_losses': membership.skewness(of_shadows, is_out),
      'of_scaled': membership.skewness(scaled, is_out),
    }
    found |= _by_shadows(
      cfg,
      membership.scaled(target, num_labels),
      scaled,
      is_out,
      target / num_labels,
      of_shadows / num_labels,
      _references(kind, _OF_SAME_SPEAKERS),
    )
  return record | _measured(
    cfg, found, kind == _TRAINED, kind == _OF_SAME_SPEAKERS
  )


def _of_speakers(
  cfg: config.Config,
  candidates: Candidates,
  heard: _Heard,
  shadows: _Shadows | None,
  member_kind: int,
) -> dict[str, Any]:
  """Means over a speaker's utterances, of as many of everybody.

  member_kind: whether a training speaker is judged by what was trained on, or
  by what was held out.
  """
  asked = _capped(cfg, candidates, member_kind)
  kind, num_labels = candidates.kind[asked], candidates.num_labels[asked]
  speakers, places = np.unique(candidates.speaker[asked], return_inverse=True)
  of_speaker = np.zeros(len(speakers), int)
  of_speaker[places] = kind
  missing = _missing(of_speaker, member_kind, _OF_OTHERS, 'speakers')
  if missing:
    return {'missing': missing}

  def means(values):
    return membership.grouped(values, places, len(speakers))

  target = heard.target[asked]
  per_label = means(target / num_labels)
  found = {'loss': -means(target), 'loss_per_label': -per_label}
  if shadows is not None and len(heard.of_speakers):
    of_shadows = heard.of_speakers[:, asked]
    found |= _by_shadows(
      cfg,
      means(membership.scaled(target, num_labels)),
      means(membership.scaled(of_shadows, num_labels)),
      shadows.speakers[:, speakers],
      per_label,
      means(of_shadows / num_labels),
      of_speaker == _OF_OTHERS,
    )
  record = {'most_utterances_each': int(np.bincount(places).max())}
  return record | _measured(
    cfg, found, of_speaker == member_kind, of_speaker == _OF_OTHERS
  )


def _capped(
  cfg: config.Config, candidates: Candidates, member_kind: int
) -> Int[np.ndarray, ' utterances']:
  """At random as many utterances of each speaker, as far as there are.

  A mean of fewer varies more, which alone would set one side apart.
  """
  kinds = member_kind, _OF_OTHERS
  by_kind = [
    np.flatnonzero(candidates.is_asked & (candidates.kind == kind))
    for kind in kinds
  ]
  if not all(map(len, by_kind)):
    return np.concatenate(by_kind)
  most = min(
    int(np.median(np.unique(candidates.speaker[each], return_counts=True)[1]))
    for each in by_kind
  )
  rng = streams.rng(cfg.seed, streams.Stream.CANDIDATES)
  order = rng.permutation(np.concatenate(by_kind))
  taken: dict[int, int] = {}
  kept = []
  for index in order.tolist():
    speaker = int(candidates.speaker[index])
    taken[speaker] = taken.get(speaker, 0) + 1
    if taken[speaker] <= max(most, 1):
      kept.append(index)
  return np.sort(kept)


def _by_shadows(
  cfg: config.Config,
  target: Float[np.ndarray, ' units'],
  scaled: Float[np.ndarray, 'shadows units'],
  is_out: Bool[np.ndarray, 'shadows units'],
  per_label: Float[np.ndarray, ' units'],
  shadows_per_label: Float[np.ndarray, 'shadows units'],
  is_reference: Bool[np.ndarray, ' units'],
) -> _Scores:
  return {
    'lira': membership.lira(target, scaled, is_out),
    'rmia': membership.rmia(
      np.exp(-per_label),
      np.exp(-shadows_per_label),
      is_out,
      is_reference,
      _rmia(cfg),
    ),
  }


def _references(kind, others: int) -> Bool[np.ndarray, ' units']:
  """Other speakers' where there are some; else the non-members themselves."""
  is_reference = kind == _OF_OTHERS
  return is_reference if is_reference.sum() >= _FEWEST else kind == others


def _missing(kind, members: int, others: int, what: str) -> str:
  """Why there is no curve; '' where there is one."""
  for wanted, name in ((members, 'members'), (others, 'non-members')):
    count = int((kind == wanted).sum())
    if count < _FEWEST:
      return f'{count} {what} are {name}; want {_FEWEST} or more'
  return ''


def _measured(
  cfg: config.Config,
  found: _Scores,
  is_member: Bool[np.ndarray, ' units'],
  is_other: Bool[np.ndarray, ' units'],
) -> dict[str, Any]:
  return {
    'mean_loss': {
      'members': float(-found['loss'][is_member].mean()),
      'nonmembers': float(-found['loss'][is_other].mean()),
    },
    'scores': {
      name: roc.measured(
        values[is_member], values[is_other], cfg.audit.confidence
      )
      for name, values in found.items()
    },
  }


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
