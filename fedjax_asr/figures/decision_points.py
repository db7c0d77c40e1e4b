"""What noise costs and what it saves: points of runs, or of a record of them.

A record is JSON, {"points": [POINT, ...]}. A point is of one run:

  noise_multiplier: of the server's noise; 0 of a run without.
  seed: of the run. Points of one noise that differ in it are a mean.
  wer: on held-out speakers, at the end.
  epsilon: as the run's metrics name it without `privacy/` (delta, epsilon_pld,
    epsilon_rdp, extrapolated_epsilon_pld, extrapolated_epsilon_rdp), null or
    left out where there is none.
  audit: audit.json, or the path of it or of its directory.
  attack: records of attack.json (utterance, method, snr_db, is_certified,
    refused; none: it failed), what `of_attack` gives, or the path of a
    directory of the job attack.
  bugs: by the bug that was planted, what canaries found, as audit.json has it.
  errors: what did not finish, by name.

All but the noise may be left out or null. A relative path is from the record.
`of_run` makes a point of a run with an `audit` and an `attack` folder.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fedjax_asr import config, json_file, run_error, run_files
from fedjax_asr.figures import drawn_attack, drawn_run, measured_values

AUDIT, ATTACK = 'audit', 'attack'
# Lists of an audit that only its own figures draw.
_LONG = {
  'roc',
  'scores_in',
  'scores_out',
  'false_accepts',
  'false_rejects',
  'genuine_scores',
  'impostor_scores',
  'guesses',
  'values',
  'sentences',
}


class Point(NamedTuple):
  """Of one run. values: what was measured, by name; errors: what failed."""

  noise: float
  seed: int
  delta: float | None
  errors: Sequence[str]
  values: Mapping[str, measured_values.Value]


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Points of a record, with what their paths lead to.

  Raises:
    RunError: it is damaged, has no points, or a path leads to nothing.
  """
  found = json_file.read(path)
  try:
    rows: list[dict[str, Any]] = [
      dict(row) | {'noise_multiplier': float(row['noise_multiplier'])}
      for row in found['points']
    ]
  except (KeyError, TypeError, ValueError) as error:
    raise run_error.RunError(
      f'{path}: {error!r}; want {{"points": [{{"noise_multiplier": ...}}]}}.'
    ) from error
  if not rows:
    raise run_error.RunError(f'{path} has no points; want one or more.')
  for row in rows:
    if isinstance(row.get('audit'), str):
      row['audit'] = _audit(path.parent / row['audit'])
    if isinstance(row.get('attack'), str):
      row['attack'] = of_attack(path.parent / row['attack'])
  return rows


def of_run(path: pathlib.Path) -> dict[str, Any]:
  """A point, of what there is of it.

  Raises:
    Missing: the run has no config or no round, or noise that is not on the
      axis.
    RunError: an audit or an attack is damaged.
  """
  run = drawn_run.DrawnRun(path)
  if run.config.federated.privacy.local_noise_multiplier:
    raise drawn_run.Missing(
      f"{run.name}: its clients add noise of their own, beside the server's."
    )
  last = run.metrics[-1]
  _, rates = run.series('eval/wer')
  audit, attack = path / AUDIT, path / ATTACK
  return {
    'noise_multiplier': run.config.federated.privacy.central_noise_multiplier,
    'seed': run.config.seed,
    'wer': float(rates[-1]) if len(rates) else None,
    'epsilon': {
      name.removeprefix('privacy/'): value
      for name, value in last.items()
      if name.startswith('privacy/')
    },
    'audit': _shortened(_audit(audit))
    if run_files.RunFiles(audit).audit.is_file()
    else None,
    'attack': of_attack(attack)
    if run_files.RunFiles(attack).attack.is_file()
    else None,
  }


def of_runs(
  paths: Sequence[pathlib.Path],
) -> tuple[list[dict[str, Any]], str]:
  """Points of runs, and in a sentence what they differ in besides noise.

  Raises:
    Missing: runs of the same noise differ in more than their seed, so that no
      mean is of one thing; or as `of_run` says.
    RunError: as `of_run` says.
  """
  rows = [of_run(path) for path in paths]
  settings = [_settings(path) for path in paths]
  differing = {
    name
    for each in settings
    for name in {*each, *settings[0]}
    if each.get(name) != settings[0].get(name)
  }
  for row, own in zip(rows, settings, strict=True):
    for other, others in zip(rows, settings, strict=True):
      if row['noise_multiplier'] != other['noise_multiplier'] or own == others:
        continue
      names = sorted(name for name in differing if own[name] != others[name])
      raise drawn_run.Missing(
        'runs of the same noise differ in more than their seed: '
        f'{", ".join(names)}.'
      )
  if not differing:
    return rows, ''
  return rows, f'Runs differ also in {", ".join(sorted(differing))}.'


def _settings(path: pathlib.Path) -> dict[str, str]:
  """Leaves of the config without what makes a point another."""
  values = config.as_dict(drawn_run.DrawnRun(path).config)
  del values['seed'], values['name']
  for name in ('central_noise_multiplier', 'target_epsilon', 'noise_seed'):
    del values['federated']['privacy'][name]
  return dict(_leaves(values))


def _leaves(values: Mapping[str, Any], prefix: str = ''):
  """(path, text) of each field."""
  for name, value in values.items():
    if isinstance(value, Mapping):
      yield from _leaves(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', str(value)


def of_attack(path: pathlib.Path) -> dict[str, Any] | None:
  """The median SNR with its 95% interval, refusals inside, and certificates.

  Raises:
    RunError: its scores are not there or damaged.
  """
  return measured_values.of_records(drawn_attack.DrawnAttack(path).records)


def points(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
  """What is drawn of plain records.

  Raises:
    RunError: one lacks its noise, or is of another form.
  """
  try:
    return [_point(row) for row in rows]
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise run_error.RunError(
      f'a point of the record is of another form: {error!r}.'
    ) from error


def _point(row: Mapping[str, Any]) -> Point:
  return Point(
    noise=float(row['noise_multiplier']),
    seed=int(row.get('seed') or 0),
    delta=(row.get('epsilon') or {}).get('delta'),
    errors=tuple(row.get('errors') or ()),
    values=measured_values.of(row),
  )


def _audit(path: pathlib.Path) -> dict[str, Any]:
  file = run_files.RunFiles(path).audit if path.is_dir() else path
  found = json_file.read(file)
  if not isinstance(found, dict):
    raise run_error.RunError(f'{file}: want it as the job audit left it.')
  return found


def _shortened(found: Any) -> Any:
  if isinstance(found, dict):
    return {
      name: _shortened(each)
      for name, each in found.items()
      if name not in _LONG
    }
  return found
