"""What defences save and cost: points of records, or of attacks and runs.

A record is what benchmarks/decide.py wrote. Of directories, an attack gives
what was recovered, and a run of the job `train` with the same model and
federated training the WER.
"""

import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fedjax_asr import config, json_file, run_config, run_error, run_files
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.figures import comparison, drawn_attack, intervals

# What training and an attack on it have in common.
_SHARED = ('model', 'federated')
# Of an attack, what is a defence: of how many the update is.
_OF_UPDATE = ('batch_size', 'local_steps', 'num_aggregated', 'observed')
_RATE = 'eval/wer'


class Point(NamedTuple):
  """One strength of a defence, against the strongest attack in the record.

  settings: fields of the config by path, and their values.
  certified: utterances of `total`; None where nothing was attacked.
  snr_db: the median, refusals inside; None where it falls on one.
  interval: 95% of that median, as recorded; None at an end that falls on one.
  wer: of one training run, or the mean over seeds; None where it was not
    measured.
  """

  settings: Mapping[str, Any]
  certified: int | None
  total: int
  snr_db: float | None
  interval: tuple[float | None, float | None]
  wer: float | None


class Family(NamedTuple):
  """Points of one defence, in the order of the sweep.

  fields: those that are not the same at all points.
  """

  name: str
  points: tuple[Point, ...]
  fields: tuple[str, ...]

  @property
  def is_curve(self) -> bool:
    """Whether one number orders all points, so that a line may join them.

    Every field that varies is a number that no two points share: of a kind of
    code, or of two strengths that are combined, no line says anything.
    """
    columns = [
      [point.settings.get(name) for point in self.points]
      for name in self.fields
    ]
    return bool(columns) and all(
      all(_is_number(value) for value in column)
      and len(set(column)) == len(column)
      for column in columns
    )

  def label(self, point: Point) -> str:
    """What differs at a point: each value once."""
    values = [
      _text(point.settings[name])
      for name in self.fields
      if name in point.settings
    ]
    return ', '.join(dict.fromkeys(values)) or 'as is'

  @property
  def axis(self) -> str:
    """What the labels are of."""
    names = [name.rpartition('.')[2] for name in self.fields]
    return ', '.join(dict.fromkeys(names)).replace('_', ' ')


def read(paths: Sequence[pathlib.Path]) -> list[Family]:
  """Families of all records, and one of all directories together.

  Raises:
    RunError: nothing is there, a file is damaged, a directory is of neither
      job, or one is given twice.
  """
  resolved = [path.resolve() for path in paths]
  for path in resolved:
    if resolved.count(path) > 1:
      raise run_error.RunError(f'{path} is given twice; want each once.')
  directories = [path for path in paths if path.is_dir()]
  families = [
    family
    for path in paths
    if path not in directories
    for family in _of_record(path)
  ]
  if directories:
    families.append(_of_directories(directories))
  return families


def _of_record(path: pathlib.Path) -> list[Family]:
  found = json_file.read(path)
  try:
    rows: dict[str, list[Point]] = {}
    for row in found['points']:
      rows.setdefault(row['defence'], []).append(_of_row(row))
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise run_error.RunError(
      f'{path}: {error!r}; want a record of benchmarks/decide.py.'
    ) from error
  if not rows:
    raise run_error.RunError(f'{path} has no points; want one or more.')
  return [_family(name, points) for name, points in rows.items()]


def _of_row(row: dict[str, Any]) -> Point:
  settings = dict(row['point'])
  wer = row.get('wer')
  if 'certified' not in row:
    return Point(settings, None, 0, None, (None, None), wer)
  low, high = row['snr_db']['median_interval']
  return Point(
    settings=settings,
    certified=row['certified']['count'],
    total=row['certified']['of'],
    snr_db=row['snr_db']['median'],
    interval=(low, high),
    wer=wer,
  )


def _family(name: str, points: Iterable[Point]) -> Family:
  points = tuple(points)
  names = dict.fromkeys(name for point in points for name in point.settings)
  varying = [
    name
    for name in names
    if len({_text(point.settings.get(name)) for point in points}) > 1
  ]
  return Family(name.replace('_', ' '), points, tuple(varying or names))


def _of_directories(paths: Sequence[pathlib.Path]) -> Family:
  attacks, trained = [], {}
  for path in paths:
    values = _config(path)
    if values['job'] == config.Job.ATTACK:
      attacks.append((path, values))
    elif values['job'] == config.Job.TRAIN:
      trained.setdefault(_shared(values), []).append(path)
    else:
      raise run_error.RunError(
        f'{path} is of the job {values["job"]}; want attack or train.'
      )
  if not attacks:
    raise run_error.RunError(
      f'{paths[0]}: no directory of the job attack; want one or more.'
    )
  return _family(
    'attacks',
    [
      _of_attack(path, values, trained.get(_shared(values), []))
      for path, values in attacks
    ],
  )


def _config(path: pathlib.Path) -> dict[str, Any]:
  """Of an attack on a run, with the run's model and training."""
  file = run_files.RunFiles(path).config_json
  try:
    values = run_config.read(file)
    run = values['attack']['run'] if values['job'] == config.Job.ATTACK else ''
    if run:
      of_run = run_config.read(run_files.RunFiles(run).config_json)
      values |= {name: of_run[name] for name in _SHARED}
    return values
  except (AttributeError, KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{file}: {error!r}; want the config of an attack or of a run.'
    ) from error


def _shared(values: dict[str, Any]) -> str:
  return json.dumps([values[name] for name in _SHARED], sort_keys=True)


def _of_attack(
  path: pathlib.Path, values: dict[str, Any], runs: list[pathlib.Path]
) -> Point:
  records = score_summary.believed(drawn_attack.DrawnAttack(path).records)
  snr = [record['snr_db'] for record in records]
  clusters = [record.get('victim', record['utterance']) for record in records]
  interval = intervals.median(snr, clusters)
  attack = {name: values['attack'][name] for name in _OF_UPDATE}
  settings = {
    **_leaves({name: values[name] for name in _SHARED}),
    **_leaves({'attack': attack}),
  }
  return Point(
    settings=settings,
    certified=sum(record['is_certified'] for record in records),
    total=len(records),
    snr_db=score_summary.median(snr),
    interval=interval.finite() if interval else (None, None),
    wer=_mean_wer(runs),
  )


def _mean_wer(runs: list[pathlib.Path]) -> float | None:
  """At the end; the mean where several runs differ in the seed alone."""
  if not runs:
    return None
  return sum(comparison.series(run, _RATE)[1][-1] for run in runs) / len(runs)


def _leaves(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  found: dict[str, Any] = {}
  for name, value in values.items():
    if isinstance(value, dict):
      found |= _leaves(value, f'{prefix}{name}.')
    else:
      found[f'{prefix}{name}'] = value
  return found


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
  return f'{value:g}' if isinstance(value, float) else f'{value}'
