"""One table to decide by: each defence against each attacker, and its price.

  python benchmarks/decide.py RESULT.json [--only=VARIANT,...] [--points=I,...]
      [--attackers=span,adaptive,matching,speakers] [--seeds=0,1,2]
      [--victims=20] [--wer] [--jobs=N] [--seconds=LIMIT]
      [--ATTACKER.FIELD=VALUE] [--config.FIELD=VALUE]
  python benchmarks/decide.py RESULT.json --table
  python benchmarks/decide.py RESULT.json --docs=docs/attacks.md

For each point of each variant's sweep of configs/defences.py and each seed,
which is that of initialisation, victims and noise, so many updates are attacked
by each attacker: span (the exact attack, of Adam's steps too), adaptive (by
the likelihood of a noisy update), matching (gradient matching, of 0.4 s, with
transcript and length). speakers links updates of a run that was trained under
the defence; --wer records that run's WER and epsilon.

Each is a process of its own, N at once, spread over the GPUs that
BENCHMARK_DEVICES counts; one that lasts longer than LIMIT is ended, and what it
has done counts. RESULT.json gets a row as soon as one ends. Rows that it has
are not made again, but for those of a process that failed; so the command goes
on where it stopped, and --only, --points (by place in the sweep), --attackers
and --seeds divide it. --ATTACKER.FIELD sets a field of config.attack for that
attacker alone, such as --matching.num_victims=4, and of speakers one of
config.audit.speakers; --config flags go to every job.

--docs puts the table between two marks of a page. The rule of its verdicts is
in docs/attacks.md.
"""

import concurrent.futures
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import communication
import decide_rows
import decide_table
import main_job
import own_process
import sweep

from fedjax_asr import config_file, environment

# As shells have it of SIGINT.
_INTERRUPTED = 130
VARIANTS = (
  'dropout',
  'clipping',
  'noise_local',
  'noise_central',
  'compression',
  'batch_size',
  'local_steps',
  'client_optimizer',
  'secure_aggregation',
)
_OWN = {
  '--only': ','.join(VARIANTS),
  '--points': '',
  '--attackers': ','.join(decide_rows.ATTACKERS),
  '--seeds': '0,1,2',
  '--victims': '20',
  '--jobs': '1',
  '--seconds': '0',
}


class Task(NamedTuple):
  """What one thread does: a row, or a training with its row of speakers.

  attackers: the one that wants speech, or speakers where a training is linked.
  """

  case: decide_rows.Case
  attackers: tuple[str, ...]
  is_training: bool


# (task, settings) -> rows of attackers, rows of trainings.
Measure = Callable[
  [Task, decide_rows.Settings],
  tuple[list[dict[str, Any]], list[dict[str, Any]]],
]


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    if name in ('--table', '--docs'):
      return _show(result, value)
  try:
    own, fields, flags = split(argv[2:])
    cases = list(_cases(own))
  except ValueError as error:
    print(f'decide.py: {error}', file=sys.stderr)
    return 2
  record = _Record(result, ['decide.py', 'RESULT.json', *argv[2:]])
  num_jobs = int(own['--jobs'])
  settings = decide_rows.Settings(
    num_victims=int(own['--victims']),
    own=fields,
    flags=flags,
    devices=own_process.turns(
      num_jobs, int(os.environ.get('BENCHMARK_DEVICES', '0'))
    ),
    seconds=float(own['--seconds']),
  )
  wanted = tasks(
    record, cases, own['--attackers'].split(','), with_wer='--wer' in argv
  )
  try:
    return measure(record, wanted, settings, num_jobs)
  except KeyboardInterrupt:
    print(f'interrupted; the same command goes on with {result}')
    return _INTERRUPTED


def _show(result: pathlib.Path, page: str) -> int:
  shown = decide_table.table(json.loads(result.read_text())['points'])
  if page:
    communication.put(pathlib.Path(page), shown)
  else:
    print(shown)
  return 0


def split(
  words: list[str],
) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
  """(the script's own flags, fields by attacker, what is for every job).

  Raises:
    ValueError: a flag that is none of these, or a value of none.
  """
  own, flags = dict(_OWN), []
  fields: dict[str, list[str]] = {name: [] for name in decide_rows.ATTACKERS}
  for word in words:
    name, _, value = word.partition('=')
    attacker, _, field = name.removeprefix('--').partition('.')
    if name in own:
      own[name] = value
    elif attacker in fields and field:
      fields[attacker].append(f'{field}={value}')
    elif attacker == 'config':
      flags.append(word)
    elif word != '--wer':
      known = ', '.join([*_OWN, '--wer', '--ATTACKER.FIELD', '--config.FIELD'])
      raise ValueError(f'{word}; want one of {known}.')
  for name, known in (
    ('--only', VARIANTS),
    ('--attackers', decide_rows.ATTACKERS),
  ):
    for value in own[name].split(','):
      if value not in known:
        raise ValueError(f'{name}={value}; want some of {",".join(known)}.')
  return own, fields, flags


def points(variant: str) -> list[dict[str, Any]]:
  """Of the variant's sweep."""
  return config_file.sweep(f'{decide_rows.CONFIG}:{variant}')


def _cases(own: dict[str, str]) -> Iterator[decide_rows.Case]:
  places = [int(place) for place in own['--points'].split(',') if place]
  for seed in own['--seeds'].split(','):
    for variant in own['--only'].split(','):
      for place, point in enumerate(points(variant)):
        if not places or place in places:
          yield decide_rows.Case(variant, point, int(seed))


class _Record:
  """RESULT.json, written whenever there is more of it.

  Each row has the place among `starts` of the command, machine and versions
  that made it.
  """

  def __init__(self, path: pathlib.Path, command: list[str]):
    self._path = path
    opened = sweep.opened(path, command)
    self.content = {'starts': [], 'rows': [], 'trainings': [], **opened}
    self.content['starts'].append(
      {
        'command': ' '.join(command),
        'machine': main_job.machine(),
        'versions': environment.versions(),
      }
    )

  def has(self, kind: str, names: dict[str, Any]) -> bool:
    """Whether there is a row with a result, of `rows` or `trainings`."""
    wanted = decide_table.key(names)
    return any(
      decide_table.key(row) == wanted and _has_result(row)
      for row in self.content[kind]
    )

  def add(self, kind: str, row: dict[str, Any]) -> None:
    """In place of one that failed; the summary of its point follows it."""
    wanted = decide_table.key(row)
    others = [
      each for each in self.content[kind] if decide_table.key(each) != wanted
    ]
    start = len(self.content['starts']) - 1
    self.content[kind] = [*others, row | {'start': start}]
    self._summarise(row['defence'], row['point'])
    beside = self._path.with_suffix('.part')
    beside.write_text(json.dumps(self.content, indent=1) + '\n')
    beside.replace(self._path)

  def _summarise(self, defence: str, point: dict[str, Any]) -> None:
    def of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
      return [
        row
        for row in rows
        if (row['defence'], row['point']) == (defence, point)
      ]

    found = decide_table.summary(
      of(self.content['rows']), of(self.content['trainings'])
    )
    others = [each for each in self.content['points'] if not of([each])]
    self.content['points'] = sorted([*others, found], key=_place)


def _place(point: dict[str, Any]) -> tuple[int, int]:
  """Of a point among all sweeps; one that the config has no more comes last."""
  among = points(point['defence'])
  place = among.index(point['point']) if point['point'] in among else len(among)
  return VARIANTS.index(point['defence']), place


def _has_result(row: dict[str, Any]) -> bool:
  return not row['error'] or bool(row.get('utterances') or row.get('linkage'))


def tasks(
  record: _Record,
  cases: list[decide_rows.Case],
  attackers: list[str],
  *,
  with_wer: bool,
) -> list[Task]:
  """What the record lacks, trainings first: they take longest."""
  speakers = decide_rows.SPEAKERS
  training, attacking = [], []
  for case in cases:
    missing = [
      name
      for name in attackers
      if not record.has('rows', case.names | {'attacker': name})
    ]
    attacking += [
      Task(case, (name,), is_training=False)
      for name in missing
      if name != speakers
    ]
    lacks_wer = with_wer and not record.has('trainings', case.names)
    if lacks_wer or speakers in missing:
      linked = (speakers,) if speakers in missing else ()
      training.append(Task(case, linked, is_training=True))
  return [*training, *attacking]


def measured(
  task: Task, settings: decide_rows.Settings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """Rows of attackers, rows of trainings."""
  if not task.is_training:
    (attacker,) = task.attackers
    return [decide_rows.attacked(task.case, attacker, settings)], []
  training, linked = decide_rows.trained(
    task.case, settings, linked=bool(task.attackers)
  )
  return [linked] if linked else [], [training]


def measure(
  record: _Record,
  wanted: list[Task],
  settings: decide_rows.Settings,
  num_jobs: int,
  measured: Measure = measured,
) -> int:
  """Does what is wanted, row by row; 1 if something failed."""
  failed = 0
  with concurrent.futures.ThreadPoolExecutor(num_jobs) as threads:
    running = {
      threads.submit(measured, task, settings): task for task in wanted
    }
    try:
      for number, done in enumerate(
        concurrent.futures.as_completed(running), start=1
      ):
        for kind, row in _rows(done, running[done], settings):
          record.add(kind, row)
          failed |= not _has_result(row)
          print(f'{number}/{len(running)} {_line(row)}', flush=True)
    except KeyboardInterrupt:
      # Processes that run were interrupted too, and end; no other begins.
      threads.shutdown(wait=False, cancel_futures=True)
      raise
  return int(failed)


def _rows(
  done: 'concurrent.futures.Future[Any]',
  task: Task,
  settings: decide_rows.Settings,
) -> Iterator[tuple[str, dict[str, Any]]]:
  """(kind, row); of what went wrong outside of its process, a row too."""
  try:
    rows, trainings = done.result()
  except Exception as error:  # The other tasks go on.
    said = f'{type(error).__name__}: {error}'
    rows = [
      decide_rows.of_attack(task.case, name, settings, said)
      for name in task.attackers
    ]
    trainings = [task.case.names | {'error': said}] if task.is_training else []
  yield from (('rows', row) for row in rows)
  yield from (('trainings', row) for row in trainings)


def _line(row: dict[str, Any]) -> str:
  what = row.get('attacker', 'training')
  said = row['error'] or row.get('refused') or 'done'
  return (
    f'{row["defence"]} {row["point"]}, seed {row["seed"]}, {what}: '
    f'{said} ({row.get("seconds", 0):.0f} s)'
  )


if __name__ == '__main__':
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  sys.exit(main(sys.argv))
