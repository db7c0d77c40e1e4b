"""Whether an update tells which utterances a client trained on in a round."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import rich.console
from jaxtyping import Float, Int

from fedjax_asr import config, streams
from fedjax_asr.attacks import victim
from fedjax_asr.audits import gradient_cosine, roc
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import (
  algorithm,
  channels,
  cohort,
  optimizers,
  schedule,
)
from fedjax_asr.jobs import audited_run, preparation, run_secret
from fedjax_asr.models import model

_FEWEST = 2


class _Candidates(NamedTuple):
  """Of one client: positions in the training set, and in what is held out."""

  used: Int[np.ndarray, ' used']
  unused: Int[np.ndarray, ' unused']
  held_out: Int[np.ndarray, ' held_out']
  others: Int[np.ndarray, ' others']


class _Cosines(NamedTuple):
  """Of all clients' candidates."""

  used: list[np.ndarray]
  same_speaker: list[np.ndarray]
  others: list[np.ndarray]


def measured(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  console: rich.console.Console,
) -> dict[str, Any]:
  """Cosines of updates and candidates' gradients, as scores.

  Updates are those of the round that follows the audited values, as they leave
  the clients' channel. Members were trained on in it.
  """
  missing = _why_not(audited, cfg)
  if missing:
    return {'missing': missing}
  clients = _observed(audited, cfg)
  found = _Cosines([], [], [])
  with preparation.reported(console, 'updates and gradients') as report:
    send = _Sender(audited, clients)
    cosines = _Scorer(audited, cfg.audit.membership.batch_size)
    for done, client in enumerate(clients):
      report(done, len(clients))
      candidates = _candidates(audited, cfg, client)
      update = send(client)
      found.used.append(cosines(update, audited.examples, candidates.used))
      found.same_speaker.append(
        np.append(
          cosines(update, audited.examples, candidates.unused),
          cosines(update, audited.heldout_utterances, candidates.held_out),
        )
      )
      found.others.append(cosines(update, audited.examples, candidates.others))
  return {
    'round': audited.saved.round,
    'clients': [audited.clients[client].name for client in clients],
    'scores': _scores(found, cfg.audit.confidence),
  }


def _scores(found: _Cosines, confidence: float) -> dict[str, Any]:
  members = _finite(found.used)
  scores: dict[str, Any] = {}
  for name in ('same_speaker', 'others'):
    others = _finite(getattr(found, name))
    fewest = min(len(members), len(others))
    if fewest < _FEWEST:
      scores[name] = {
        'missing': f'{len(members)} members and {len(others)} non-members; '
        f'want {_FEWEST} or more'
      }
      continue
    scores[name] = roc.measured(members, others, confidence)
  return scores


def _finite(parts: Sequence[np.ndarray]) -> Float[np.ndarray, ' candidates']:
  """An update of zero, or a candidate without an alignment, has no angle."""
  values = np.concatenate(parts)
  return values[np.isfinite(values)]


def _why_not(audited: audited_run.AuditedRun, cfg: config.Config) -> str:
  if not cfg.audit.membership.num_observed:
    return 'config.audit.membership.num_observed=0'
  settings = audited.settings
  if settings.algorithm is not config.AlgorithmName.FEDAVG:
    return (
      f'config.federated.algorithm={settings.algorithm} of the run; want fedavg'
    )
  if channels.make(settings).init is not None:
    return "what the run's channel keeps of a client is not in a checkpoint"
  return ''


def _observed(audited: audited_run.AuditedRun, cfg: config.Config) -> list[int]:
  drawn = schedule.members(
    audited.clients,
    audited.settings,
    audited.saved.config.seed,
    audited.saved.round,
    run_secret.of_saved(audited.saved.path, audited.settings),
  )
  return [int(index) for index in drawn[: cfg.audit.membership.num_observed]]


def _steps(audited, client: int) -> Int[np.ndarray, 'steps batch']:
  return victim.batches(
    audited.clients,
    client,
    audited.examples.num_frames,
    audited.settings,
    audited.saved.config.seed,
    audited.saved.round,
  )


def _candidates(audited, cfg, client: int) -> _Candidates:
  steps = _steps(audited, client)
  used = np.unique(steps[steps >= 0])
  own = audited.clients[client].utterances
  names = {audited.examples.speakers[index] for index in own.tolist()}
  held_out = [
    index
    for index, name in enumerate(audited.heldout_utterances.speakers)
    if name in names
  ]
  rng = streams.rng(
    cfg.seed, streams.Stream.OBSERVED_CANDIDATES, audited.saved.round, client
  )
  foreign = [
    index
    for index, name in enumerate(audited.examples.speakers)
    if name not in names
  ]
  return _Candidates(
    used=used,
    unused=np.setdiff1d(own, used),
    held_out=np.array(held_out, int),
    others=rng.permutation(foreign)[: len(used)].astype(int),
  )


class _Sender:
  """The update of a client; compiled once for all of them."""

  def __init__(self, audited: audited_run.AuditedRun, clients: Sequence[int]):
    saved, settings = audited.saved, audited.settings
    self._audited = audited
    self._send = victim.make_send(
      saved.acoustic,
      settings,
      saved.config.augment,
      config.Observed.DELTA,
      len(audited.clients),
    )
    scale = optimizers.step_scale(settings, jnp.float32(saved.scale))
    self._broadcast = algorithm.Broadcast(
      params=saved.params,
      norm_state=saved.norm_state,
      memory=(),
      learning_rate=optimizers.client_rate(settings, saved.round, scale.client),
    )
    self._told = channels.make(settings).told(saved.channel_state)
    self._steps = {client: _steps(audited, client) for client in clients}
    self._most = max(map(len, self._steps.values()))

  def __call__(self, client: int) -> model.Params:
    audited, steps = self._audited, self._steps[client]
    # Steps of padding change nothing.
    padding = np.full((self._most - len(steps), steps.shape[1]), -1)
    batches = _batch(audited.examples, np.concatenate([steps, padding]))
    saved = audited.saved
    message = self._send(
      self._broadcast,
      algorithm.Participant(jnp.int32(client)),
      (),
      batches,
      streams.key(
        saved.config.seed, streams.Stream.CLIENT, saved.round, client
      ),
      self._told,
    )
    return message.update.params


class _Scorer:
  """Cosines of an update and the gradients of utterances."""

  def __init__(self, audited: audited_run.AuditedRun, batch_size: int):
    self._saved = audited.saved
    self._batch_size = batch_size
    self._cosines = gradient_cosine.make(audited.saved.acoustic)

  def __call__(
    self,
    update: model.Params,
    examples: dataset.Dataset,
    positions: Int[np.ndarray, ' candidates'],
  ) -> Float[np.ndarray, ' candidates']:
    padding = np.full(-len(positions) % self._batch_size, -1)
    padded = np.concatenate([positions, padding]).astype(int)
    found = [
      np.asarray(
        self._cosines(
          self._saved.params,
          self._saved.norm_state,
          update,
          _batch(examples, part),
        )
      )
      for part in padded.reshape(-1, self._batch_size)
    ]
    return np.concatenate([*found, np.zeros(0)])[: len(positions)]


def _batch(
  examples: dataset.Dataset, positions: Int[np.ndarray, '*axes']
) -> cohort.Batch:
  """As long as the longest utterance of all."""
  return victim.padded(
    cohort.Batch(
      *examples.batch(
        positions,
        int(examples.num_frames.max()),
        max(map(len, examples.labels)),
      )
    )
  )
