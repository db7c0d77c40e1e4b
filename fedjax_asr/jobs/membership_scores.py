"""Scores of candidates for having been trained on, and how good they are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fedjax_asr import config, streams
from fedjax_asr.audits import membership, roc
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import server

# Of `Candidates.kind`.
TRAINED, OF_SAME_SPEAKERS, OF_OTHERS = 0, 1, 2
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


class Shadows(NamedTuple):
  """Who is out of which; `values` of both kinds, those of utterances first.

  utterances: [shadows, utterances]; speakers: [shadows, speakers].
  """

  values: server.Values
  utterances: Bool[np.ndarray, 'shadows utterances']
  speakers: Bool[np.ndarray, 'shadows speakers']


class Heard(NamedTuple):
  """Nats of every candidate, by the run and by shadows; and how much more
  under noise, None where there was none."""

  target: Float[np.ndarray, ' utterances']
  of_utterances: Float[np.ndarray, 'shadows utterances']
  of_speakers: Float[np.ndarray, 'shadows utterances']
  perturbed: Float[np.ndarray, 'perturbations utterances'] | None


def _rmia(cfg: config.Config) -> membership.Rmia:
  own = cfg.audit.membership
  return membership.Rmia(own.rmia_offline_a, own.rmia_gamma)


def of_utterances(
  cfg: config.Config,
  candidates: Candidates,
  heard: Heard,
  shadows: Shadows | None,
) -> dict[str, Any]:
  """Trained on, against held out of the same speakers."""
  # Those of other speakers are what RMIA compares with.
  asked = np.flatnonzero(candidates.is_asked)
  kind, num_labels = candidates.kind[asked], candidates.num_labels[asked]
  target = heard.target[asked]
  missing = _missing(kind, TRAINED, OF_SAME_SPEAKERS, 'utterances')
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
      _references(kind, OF_SAME_SPEAKERS),
    )
  return record | _measured(
    cfg, found, kind == TRAINED, kind == OF_SAME_SPEAKERS
  )


def of_speakers(
  cfg: config.Config,
  candidates: Candidates,
  heard: Heard,
  shadows: Shadows | None,
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
  missing = _missing(of_speaker, member_kind, OF_OTHERS, 'speakers')
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
      of_speaker == OF_OTHERS,
    )
  record = {'most_utterances_each': int(np.bincount(places).max())}
  return record | _measured(
    cfg, found, of_speaker == member_kind, of_speaker == OF_OTHERS
  )


def _capped(
  cfg: config.Config, candidates: Candidates, member_kind: int
) -> Int[np.ndarray, ' utterances']:
  """At random as many utterances of each speaker, as far as there are.

  A mean of fewer varies more, which alone would set one side apart.
  """
  kinds = member_kind, OF_OTHERS
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
  is_reference = kind == OF_OTHERS
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
