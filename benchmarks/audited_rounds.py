"""What a run gives away as it learns: its audits and attacks, round by round.

  python benchmarks/audited_rounds.py RESULT.json [--rounds=0,10,30,60,last]
      [--multipliers=0,0.008] [--seed=0] [--jobs=N] [--runs=FOLDER]
      [--parts=membership,attack,speakers,canaries]
      [--audit.<field>=value] [--attack.<field>=value]
      [--config=configs/privacy.py] [flags of main, for training]

Trains a config with each multiplier of the server's noise (of none named, as it
is), keeping the rounds that are asked for, and then has each of them audited:
membership by the loss alone, unless `--audit.membership.num_shadows` and its
like ask for more; speakers; an attack on two of that round's clients, which are
others in every round; and canaries. WER and epsilon are those of the run's
metrics. What was trained and audited is in FOLDER (beside RESULT.json, where
none is named); the same command goes on there. RESULT.json gets a row a round
once the run is trained, and in it what each part found (audit.json without its
curves, the attack's scores) when that is done, part after part in the order in
which they are named; what it has is not measured again, what failed is. N
processes run at once.

Round 0 is a run of one round, at whose end the server steps by so little
(1e-30) that its parameters are those that training begins with; batch norm's
statistics alone are those of that round. It has spent nothing, published
nothing and was trained on nobody: epsilon is 0 (where the run has one at its
end), and there are no canaries and no members of it.

Canaries of a round are a training of their own by so many rounds, fresh from
the run's first parameters (`audit.canaries.num_rounds`), over which the rates
of the config's schedules fall; so all of a run costs the sum of its rounds.

  python benchmarks/audited_rounds.py RESULT.json --table

prints the rows in Markdown.
"""

import concurrent.futures
import math
import multiprocessing
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import audit_jobs
import audited_rounds_table
import sweep

from fedjax_asr import config, json_file, run_error, run_files, run_log

_OWN = {
  '--rounds': '0,10,30,60,last',
  '--multipliers': '',
  '--seed': '0',
  '--jobs': '1',
  '--runs': '',
  '--parts': 'membership,attack,speakers,canaries',
}
_LAST = 'last'
# Parts of an audit that no run has before its first round.
_OF_TRAINED = {'membership', 'canaries'}
_DEFAULT = '--config=configs/privacy.py'
_BY_LOSS_ALONE = tuple(
  f'--config.audit.membership.{name}=0'
  for name in (
    'num_shadows',
    'num_speaker_shadows',
    'num_perturbations',
    'num_observed',
  )
)
# A round that leaves float32 parameters as they are.
_UNMOVED = (
  '--config.federated.num_rounds=1',
  '--config.federated.server.learning_rate=1e-30',
  '--config.federated.server.schedule=constant',
  '--config.federated.server.warmup_rounds=0',
  '--config.federated.client.schedule=constant',
  '--config.checkpoint.every_rounds=1',
)


class Asked(NamedTuple):
  """What is asked for. rounds: ascending, None: the run's last.

  multipliers: of the server's noise, None: the config's own.
  """

  rounds: Sequence[int | None]
  multipliers: Sequence[float | None]
  seed: int
  num_jobs: int
  runs: pathlib.Path
  parts: Sequence[str]
  training: Sequence[str]
  audit: Sequence[str]
  attack: Sequence[str]


class Run(NamedTuple):
  """A training with one noise, and the folder of all that is made of it."""

  folder: pathlib.Path
  flags: Sequence[str]

  @property
  def trained(self) -> pathlib.Path:
    return self.folder / 'run'

  @property
  def untrained(self) -> pathlib.Path:
    return self.folder / 'untrained'


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  try:
    if '--table' in argv:
      print(audited_rounds_table.table(json_file.read(result)['points']))
      return 0
    asked = parsed(argv[2:], result)
    record = opened(result, ['audited_rounds.py', 'RESULT.json', *argv[2:]])
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(
      asked.num_jobs, context, max_tasks_per_child=1
    ) as pool:
      return measure(pool, asked, record, audit_jobs.Record(result, record))
  except config.UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2


def opened(result: pathlib.Path, command: list[str]) -> dict[str, Any]:
  """The record, with this command among those that added to it."""
  record = sweep.opened(result, command)
  said = ' '.join(command)
  later = record.setdefault('later_commands', [])
  if said not in (record['command'], *later):
    later.append(said)
  return record


def parsed(words: Sequence[str], result: pathlib.Path) -> Asked:
  """Raises `ConfigError` for a flag of this script that is none."""
  own = dict(_OWN)
  flags: dict[str, list[str]] = {'training': [], 'audit': [], 'attack': []}
  for word in words:
    name, _, value = word.partition('=')
    if name in own:
      own[name] = value
    elif name.startswith(('--audit.', '--attack.')):
      flags[name[2:].partition('.')[0]].append(f'--config.{word[2:]}')
    else:
      flags['training'].append(word)
  if not any(word.startswith('--config=') for word in flags['training']):
    flags['training'].insert(0, _DEFAULT)
  runs = pathlib.Path(own['--runs'] or result.with_suffix('.runs'))
  return Asked(
    rounds=_rounds(own['--rounds']),
    multipliers=[
      _number('--multipliers', each, float)
      for each in filter(None, own['--multipliers'].split(','))
    ]
    or [None],
    seed=_number('--seed', own['--seed'], int),
    num_jobs=_number('--jobs', own['--jobs'], int),
    runs=runs.absolute(),
    parts=_parts(own['--parts']),
    **flags,
  )


def _number(name: str, word: str, kind: type) -> Any:
  try:
    return kind(word)
  except ValueError as error:
    raise config.ConfigError(f'{name}={word}; want a number.') from error


def _rounds(words: str) -> list[int | None]:
  found = {
    None if word == _LAST else _number('--rounds', word, int)
    for word in words.split(',')
  }
  if any(each is not None and each < 0 for each in found):
    raise config.ConfigError(f'--rounds={words}; want 0 or more, or last.')
  known = sorted(each for each in found if each is not None)
  return [*known, *([None] if None in found else [])]


def _parts(words: str) -> list[str]:
  parts = words.split(',')
  for part in parts:
    if part not in (*audit_jobs.PARTS, audit_jobs.ATTACK):
      raise config.ConfigError(
        f'--parts={words}: no such part: {part!r}; want some of '
        f'{", ".join(audit_jobs.PARTS)}, {audit_jobs.ATTACK}.'
      )
  return parts


def measure(
  pool: concurrent.futures.Executor,
  asked: Asked,
  record: Mapping[str, Any],
  kept: audit_jobs.Record,
) -> int:
  """Measures what the record lacks; 1 if anything failed.

  Raises:
    RunError: a run has no such round.
  """
  runs, failed = _trained(pool, asked)
  jobs: dict[tuple[int, str], list[str]] = {}
  rows, folders = [], []
  for run in runs:
    for row in _rows(run, asked, record['points']):
      kept.keep(row)
      folder = run.folder / f'round_{row["round"]}'
      for name, flags in _jobs(run, row, asked).items():
        jobs[len(rows), name] = [*flags, f'--workdir={folder / name}']
      rows.append(row)
      folders.append(folder)
  by_part = sorted(jobs, key=lambda key: asked.parts.index(key[1]))
  jobs = {key: jobs[key] for key in by_part}
  for (index, name), error in audit_jobs.run_all(pool, jobs):
    _fill(rows[index], name, error, folders[index] / name)
    kept.keep(rows[index])
    place = folders[index].relative_to(asked.runs)
    print(f'{place}, {name}: {error[-500:] or "done"}', flush=True)
    failed |= bool(error)
  return int(failed)


def _trained(
  pool: concurrent.futures.Executor, asked: Asked
) -> tuple[list[Run], bool]:
  """Runs that are there once it returns, and whether others failed.

  What is finished already says so and stays as it is.
  """
  runs = _runs(asked)
  said = dict(
    audit_jobs.run_all(
      pool,
      {run: [*run.flags, f'--workdir={run.trained}'] for run in runs},
    )
  )
  if 0 in asked.rounds:
    there = [run for run in runs if not said[run]]
    jobs = {run: _untrained(run) for run in there}
    said |= dict(audit_jobs.run_all(pool, jobs))
  for run, error in said.items():
    if error:
      print(f'{run.folder.name}: {error[-2000:]}', file=sys.stderr)
  return [run for run in runs if not said[run]], any(said.values())


def _runs(asked: Asked) -> list[Run]:
  """With the rounds that are asked for kept and evaluated."""
  apart = math.gcd(*(each for each in asked.rounds if each))
  kept = [
    f'--config.{name}={apart}'
    for name in (
      'checkpoint.every_rounds',
      'checkpoint.keep_every',
      'evaluation.every_rounds',
    )
    if apart
  ]
  found = []
  for multiplier in asked.multipliers:
    noise = [] if multiplier is None else audit_jobs.of_noise(multiplier)
    name = 'config' if multiplier is None else f'multiplier_{multiplier:g}'
    flags = [*asked.training, *kept, f'--config.seed={asked.seed}', *noise]
    found.append(Run(asked.runs / f'{name}_seed_{asked.seed}', tuple(flags)))
  return found


def _untrained(run: Run) -> list[str]:
  """Flags of a run that is as `run` was before its first round."""
  noise = _config(run)['federated']['privacy']['central_noise_multiplier']
  return [
    *run.flags,
    *_UNMOVED,
    *audit_jobs.of_noise(noise),
    '--config.federated.privacy.target_epsilon=0',
    f'--workdir={run.untrained}',
  ]


def _config(run: Run) -> dict[str, Any]:
  """As it was trained, with what the corpus settled."""
  return json_file.read(run_files.RunFiles(run.trained).config_json)


def _rows(
  run: Run, asked: Asked, had: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
  """Of each round, the row of the record or one that has no audit yet."""
  cfg = _config(run)
  lines = _metrics(run.trained)
  for wanted in asked.rounds:
    index = max(lines) if wanted is None else wanted
    if index and index not in lines:
      raise run_error.RunError(
        f'--rounds={index}: {run.trained} has rounds 1 to {max(lines)}.'
      )
    named = {
      'name': cfg['name'],
      'noise_multiplier': cfg['federated']['privacy'][
        'central_noise_multiplier'
      ],
      'seed': cfg['seed'],
      'round': index,
    }
    found = [row for row in had if named.items() <= row.items()]
    yield found[0] if found else named | _told(run, lines, index)


def _metrics(run: pathlib.Path) -> dict[int, dict[str, Any]]:
  metrics = run_log.read_metrics(run_files.RunFiles(run).metrics)
  return {line['round']: line for line in metrics}


def _told(
  run: Run, lines: Mapping[int, dict[str, Any]], index: int
) -> dict[str, Any]:
  """What metrics say of a round, and room for what is measured of it."""
  if index:
    line = lines[index]
    epsilon = audit_jobs.epsilons(line)
  else:
    (line,) = _metrics(run.untrained).values()
    epsilon = _nothing_spent(audit_jobs.epsilons(lines[max(lines)]))
  return {
    'wer': line.get('eval/wer'),
    'epsilon': epsilon,
    'errors': {},
    'audit': dict.fromkeys(audit_jobs.PARTS),
    'attack': [],
  }


def _nothing_spent(epsilon: Mapping[str, Any]) -> dict[str, Any]:
  """Before the first round, of what the last has spent: 0 of what is known."""
  spent = {
    name: None if value is None else 0.0
    for name, value in epsilon.items()
    if 'epsilon' in name
  }
  return spent | ({'delta': epsilon['delta']} if 'delta' in epsilon else {})


def _jobs(run: Run, row: dict[str, Any], asked: Asked) -> dict[str, list[str]]:
  """Flags of what the row lacks."""
  index = row['round']
  # Round 0 is the only one of its run.
  where, kept = (run.trained, index) if index else (run.untrained, 1)
  jobs = audit_jobs.audits(
    where, audit_jobs.PARTS, [*_BY_LOSS_ALONE, *asked.audit], kept
  )
  jobs['canaries'].append(f'--config.audit.canaries.num_rounds={index}')
  jobs[audit_jobs.ATTACK] = audit_jobs.attack(where, asked.attack, kept)
  had = {name for name, found in row['audit'].items() if found}
  if row['attack']:
    had.add(audit_jobs.ATTACK)
  if not index:
    had |= _OF_TRAINED
  return {name: jobs[name] for name in asked.parts if name not in had}


def _fill(
  row: dict[str, Any], name: str, error: str, folder: pathlib.Path
) -> None:
  """What a job of the row came to."""
  row['errors'].pop(name, None)
  if error:
    row['errors'][name] = error[-500:]
  elif name == audit_jobs.ATTACK:
    row['attack'] = audit_jobs.attacked(folder)
  else:
    row['audit'][name] = audit_jobs.audited(folder, name)


if __name__ == '__main__':
  # Data come from the training's first process; each of the others finds them.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  sys.exit(main(sys.argv))
