"""What the figures of an attack are drawn from: its directory alone."""

import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from fedjax_asr import config, json_file, run_error, run_files
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.figures import drawn_run, feature_axes

Record = dict[str, Any]

# Text that a caption says of what is known, and the key of the ledger.
_KNOWN = (
  ('transcript', 'knows_transcript'),
  ('length', 'knows_length'),
  ('number of utterances', 'knows_num_utterances'),
)
_NAMES = (
  'utterance',
  'round',
  'method',
  'refused',
  'is_certified',
  'num_frames',
  'num_frames_found',
  'snr_db',
  'mae',
  'correlation',
  'best_lag_correlation',
  'lag_frames',
)


class DrawnAttack:
  """Facts of an attack, read once.

  Raises, from each of its properties:
    RunError: a file is missing, empty or damaged.
    Missing: the attack does not have it, by its config or version.
  """

  def __init__(self, path: pathlib.Path):
    self.path = path
    self.files = run_files.RunFiles(path)

  @property
  def name(self) -> str:
    return self.path.name or str(self.path)

  @functools.cached_property
  def records(self) -> list[Record]:
    """A score of each utterance by each method; never empty."""
    return _records(self.files.attack)

  @functools.cached_property
  def features(self) -> config.FeaturesConfig | None:
    """Of what was attacked; None where that is not known."""
    return feature_axes.of_attack(self.path, self.records[0]['round'])

  @functools.cached_property
  def spectra(self) -> list[Record]:
    """Of each victim, method and layer that a rank was looked for in."""
    file = self.files.spectra
    if not file.is_file():
      raise drawn_run.Missing(
        f'there is no {file.name}: the attack is of an earlier version, which '
        'kept no singular values.'
      )
    found = json_file.read(file)
    if not found:
      raise drawn_run.Missing(
        'none of the methods looked at singular values before it was done.'
      )
    return found

  @functools.cached_property
  def speakers(self) -> dict[str, Record]:
    """Ranks of the true speaker, of `original` and by method."""
    file = self.files.speakers
    if not file.is_file():
      raise drawn_run.Missing(
        f'there is no {file.name}: the attack has not come to it, or was made '
        'without config.attack.speaker_id.enabled=true.'
      )
    found = json_file.read(file)
    try:
      ranks = {
        name: value
        for name, value in found.items()
        if isinstance(value, dict)
        and value['ranks']
        and value['num_candidates'] > 0
      }
      _ = ranks['original']
      return ranks
    except (AttributeError, KeyError, TypeError) as error:
      raise run_error.RunError(
        f'{file}: {error!r}; want the ranks of an attack.'
      ) from error

  def pair(self, record: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """Original and reconstruction; None where the method gave none."""
    file = self.files.reconstructions
    try:
      with h5py.File(file, locking='best-effort') as kept:
        group: Any = kept[record['utterance']]
        if record['method'] not in group:
          return None
        return group['original'][()], group[record['method']][()]
    except (OSError, KeyError) as error:
      raise run_error.RunError(
        f'{file}: {error}; want the reconstructions that '
        f'{self.files.attack.name} scores.'
      ) from error


def _records(path: pathlib.Path) -> list[Record]:
  try:
    records = json.loads(path.read_text(encoding='utf-8'))
    for record in records:
      # Whether the keys are there; the ledger alone is looked into later.
      _ = [record[name] for name in _NAMES] + [record['ledger'].items()]
    records = [score_summary.read(record) for record in records]
  except OSError as error:
    raise run_error.RunError(f'{path}: {error.strerror}.') from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise run_error.RunError(
      f'{path}: {error!r}; want the scores of an attack.'
    ) from error
  if not records:
    raise run_error.RunError(f'{path} is empty; want a score or more.')
  return records


def method(record: Record) -> str:
  """Its name, and what it was told: results of other ledgers do not compare."""
  ledger = record['ledger']
  known = ', '.join(text for text, key in _KNOWN if ledger.get(key))
  told = ['active server'] if ledger.get('server') == 'active' else []
  if known:
    told.append(f'told: {known}')
  if ledger.get('prior'):
    told.append(f'prior: {ledger["prior"]}')
  name = record['method'].replace('_', ' ')
  return f'{name}\n({"; ".join(told)})' if told else name


def by_method(records: Sequence[Record]) -> dict[str, list[Record]]:
  """What was refused used nothing: it stands with what its method found."""
  names = {
    record['method']: method(record)
    for record in records
    if not record['refused']
  }
  methods: dict[str, list[Record]] = {}
  for record in records:
    name = method(record)
    if record['refused']:
      name = names.get(record['method'], name)
    methods.setdefault(name, []).append(record)
  return methods
