"""What a corpus was when a run was trained on it: to notice another one."""

import hashlib
import json
from typing import Any, NamedTuple

from fedjax_asr.corpora import dataset, datasets

_SETS = ('train', 'heldout_speakers', 'heldout_utterances')
_MAX_SPEAKERS = 3


class Fingerprint(NamedTuple):
  """The utterances of a run, by set, in their order.

  sets: for each set, a digest of each utterance's speaker, number of frames
    and labels, and client where that is another, by its id. Sounds are not in
    it, nor where they lie.
  heldout_speakers: sorted.
  """

  sets: dict[str, dict[str, str]]
  heldout_speakers: list[str]


def of(data: datasets.Datasets) -> Fingerprint:
  """That of the sets that a run is trained and measured on."""
  return Fingerprint(
    sets={name: _digests(getattr(data, name)) for name in _SETS},
    heldout_speakers=sorted(set(data.heldout_speakers.speakers)),
  )


def as_dict(fingerprint: Fingerprint) -> dict[str, Any]:
  """As JSON takes it, with a hash of all and the sets' sizes to look at."""
  whole = hashlib.sha256(json.dumps(fingerprint).encode()).hexdigest()
  return {
    'sha256': whole,
    'num_utterances': {
      name: len(digests) for name, digests in fingerprint.sets.items()
    },
    **fingerprint._asdict(),
  }


def from_dict(values: Any) -> Fingerprint:
  """Raises ValueError where `as_dict` did not make it, or it was edited."""
  try:
    found = Fingerprint(*(values[name] for name in Fingerprint._fields))
    if as_dict(found) == values:
      return found
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(f'no fingerprint of a corpus ({error!r})') from error
  raise ValueError('a fingerprint that was edited')


def difference(then: Fingerprint, now: Fingerprint) -> str:
  """What is not as it was, in one line; '' where all is."""
  before, after = _places(then), _places(now)
  stayed = before.keys() & after.keys()
  groups = {
    'vanished': [name for name in before if name not in after],
    'appeared': [name for name in after if name not in before],
    'moved to another set': [
      name
      for name in after
      if name in stayed and before[name][0] != after[name][0]
    ],
    'changed speaker, client, length or transcript': [
      name
      for name in after
      if name in stayed and before[name][1] != after[name][1]
    ],
  }
  parts = [
    f'{len(names)} utterance(s) {what}, such as {names[0]!r}'
    for what, names in groups.items()
    if names
  ]
  if then.heldout_speakers != now.heldout_speakers:
    parts.append(
      f'held-out speakers were {_some(then.heldout_speakers)}, now '
      f'{_some(now.heldout_speakers)}'
    )
  if not parts and list(before) != list(after):
    parts.append('its utterances have another order')
  return '; '.join(parts)


def _digests(examples: dataset.Dataset) -> dict[str, str]:
  rows = zip(
    examples.ids,
    examples.speakers,
    examples.num_frames.tolist(),
    examples.texts,
    strict=True,
  )
  # Of a run of before there were clients, it is the same without them.
  clients = (
    [client] if client != speaker else []
    for speaker, client in zip(examples.speakers, examples.clients, strict=True)
  )
  return {
    name: hashlib.blake2b(
      json.dumps(row + client).encode(), digest_size=6
    ).hexdigest()
    for (name, *row), client in zip(rows, clients, strict=True)
  }


def _places(fingerprint: Fingerprint) -> dict[str, tuple[str, str]]:
  """(set, digest) by id."""
  return {
    name: (which, digest)
    for which, digests in fingerprint.sets.items()
    for name, digest in digests.items()
  }


def _some(names: list[str]) -> str:
  shown = ', '.join(names[:_MAX_SPEAKERS]) or 'none'
  more = len(names) - _MAX_SPEAKERS
  return shown + (f' and {more} more' if more > 0 else '')
