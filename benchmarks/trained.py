"""Attacks on models at points of their training, on speech of its own kind.

  python benchmarks/trained.py RESULT.json
      [--trainings=ds1_fedavg,ds2_fedavg] [--seeds=1] [--points=5]
      [--parts=train,heldout_speakers] [--victims=20]
      [--precisions=float32] [--seconds=300] [--out_of_domain=MANIFEST]
      [--runs=FOLDER] [--jobs=1] [flags of main]

Trains each config with each seed, which is that of initialisation, split and
batches, keeping every tenth round; what was trained is in FOLDER (beside
RESULT.json, where nothing is named) and not trained again. Then of so many
points, each half as far as the next and the last where the training ends, it
attacks so many utterances that the model was trained on, and as many of
speakers held out, the same at every point: each one gradient of a client with
nothing but that utterance, without transcript or length, by the methods of the
architecture. --precisions of the client's products are some of float32, tf32
and bfloat16. A corpus is that of the config; `--config.data.corpus=manifest
--config.data.path=...` with `--trainings=ds1_fedavg:features,...` is another.
--out_of_domain names a manifest that nothing was trained on, of which the
second half by id is attacked besides, and its rows say so.

RESULT.json gets a row an utterance as soon as it is attacked: what came of it,
its scores, the model's loss and WER on it, and the norm of the gradient. Rows
that it has are not made again. N processes run at once and share the GPUs there
are. Flags of main go to trainings, those of `config.attack` to attacks.

  python benchmarks/trained.py RESULT.json --table

prints tables in Markdown.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import queue
import sys
import time
from typing import Any

import sweep
import trained_rows
import trained_table

from fedjax_asr import run_files, run_log

_OWN = {
  '--trainings': 'ds1_fedavg,ds2_fedavg',
  '--seeds': '1',
  '--points': '5',
  '--parts': 'train,heldout_speakers',
  '--victims': '20',
  '--precisions': 'float32',
  '--seconds': '300',
  '--out_of_domain': '',
  '--runs': '',
  '--jobs': '1',
}
_KEPT = (
  '--config.checkpoint.every_rounds=10',
  '--config.checkpoint.keep_every=10',
)
_POLL_SECONDS = 0.5


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(trained_table.tables(json.loads(result.read_text())['points']))
    return 0
  own, flags = split(argv[2:])
  record = sweep.opened(result, ['trained.py', 'RESULT.json', *argv[2:]])
  record.setdefault('trainings', [])
  runs = pathlib.Path(own['--runs'] or result.with_suffix('.runs'))
  record_of = _Record(result, record)
  failed = _train_all(record_of, own, flags, runs.absolute())
  return _attack_all(record_of, own, flags, runs.absolute()) or failed


def split(words: list[str]) -> tuple[dict[str, str], list[str]]:
  """The script's own flags, with those given, and what is for `main`."""
  return sweep.split_words(words, _OWN)


class _Record:
  """RESULT.json, written whenever there is more of it."""

  def __init__(self, path: pathlib.Path, content: dict[str, Any]):
    self._path = path
    self.content = content

  def add(self, name: str, row: dict[str, Any]) -> None:
    self.content[name].append(row)
    beside = self._path.with_suffix('.part')
    beside.write_text(json.dumps(self.content, indent=1) + '\n')
    beside.replace(self._path)

  def pool(self, num_jobs: int) -> concurrent.futures.ProcessPoolExecutor:
    return sweep._processes(num_jobs, self.content['machine']['devices'])


def _wanted(own: dict[str, str]) -> list[tuple[str, int]]:
  """(config, seed) of each training, every config's first seed first."""
  trainings = own['--trainings'].split(',')
  seeds = range(int(own['--seeds']))
  return [(training, seed) for seed in seeds for training in trainings]


def _place(runs: pathlib.Path, training: str, seed: int) -> pathlib.Path:
  return runs / f'{training.replace(":", "_")}_{seed}'


def _train_all(
  record: _Record, own: dict[str, str], flags: list[str], runs: pathlib.Path
) -> int:
  """1 if one failed."""
  done = [(row['training'], row['seed']) for row in record.content['trainings']]
  left = [each for each in _wanted(own) if each not in done]
  failed = 0
  if not left:
    return failed
  with record.pool(min(int(own['--jobs']), len(left))) as pool:
    running = [
      pool.submit(
        train, training, seed, flags, str(_place(runs, training, seed))
      )
      for training, seed in left
    ]
    for finished in concurrent.futures.as_completed(running):
      row = finished.result()
      print(json.dumps(row), flush=True)
      if 'error' in row:
        failed = 1
      else:
        record.add('trainings', row)
  return failed


def train(
  training: str, seed: int, flags: list[str], run: str
) -> dict[str, Any]:
  """What a training came to; goes on where one was interrupted."""
  row: dict[str, Any] = {'training': training, 'seed': seed}
  started = time.perf_counter()
  if not is_trained(run):
    of_training = [flag for flag in flags if not _is_of_attack(flag)]
    error = sweep.run_main(
      [
        f'--config={training}',
        *_KEPT,
        *of_training,
        f'--config.seed={seed}',
        f'--workdir={run}',
      ]
    )
    if error:
      return row | {'error': error[-2000:]}
  *_, last = run_log.read_metrics(run_files.RunFiles(run).metrics)
  return row | {
    'rounds': last['round'],
    'wer': last.get('eval/wer'),
    'seconds': round(time.perf_counter() - started, 1),
  }


def is_trained(run: str) -> bool:
  """Whether all rounds of the run's config are there."""
  files = run_files.RunFiles(run)
  if not files.metrics.is_file():
    return False
  cfg = json.loads(files.config_json.read_text())
  *_, last = run_log.read_metrics(files.metrics)
  return last['round'] >= cfg['federated']['num_rounds']


def _is_of_attack(flag: str) -> bool:
  return flag.startswith('--config.attack.')


def points(own: dict[str, str], runs: pathlib.Path) -> list[trained_rows.Point]:
  """Of all trainings that are done, what is most wanted first."""
  parts = own['--parts'].split(',')
  if own['--out_of_domain']:
    parts.append(trained_rows.OUT_OF_DOMAIN)
  found = []
  for precision in own['--precisions'].split(','):
    for training, seed in _wanted(own):
      run = str(_place(runs, training, seed))
      if not is_trained(run):
        continue
      for round_index in trained_rows.rounds(run, int(own['--points']))[::-1]:
        for part in parts:
          found.append(
            trained_rows.Point(
              run, training, seed, round_index, part, precision
            )
          )
  return found


def had(rows: list[dict[str, Any]], point: trained_rows.Point) -> list[str]:
  """Utterances of the point that have a row."""
  named = point.names().items()
  return [row['utterance'] for row in rows if named <= row.items()]


def _attack_all(
  record: _Record, own: dict[str, str], flags: list[str], runs: pathlib.Path
) -> int:
  """1 if one failed."""
  count = int(own['--victims'])
  rows = record.content['points']
  left = [
    (point, done)
    for point in points(own, runs)
    if len(done := had(rows, point)) < count
  ]
  context = multiprocessing.get_context('spawn')
  with (
    context.Manager() as manager,
    record.pool(int(own['--jobs'])) as pool,
  ):
    made = manager.Queue()
    running = {
      pool.submit(
        trained_rows.attack,
        point,
        _flags_of_attack(own, flags, point),
        count,
        float(own['--seconds']),
        done,
        made.put,
      ): point
      for point, done in left
    }
    return _drained(record, made, running)


def _flags_of_attack(own, flags, point) -> list[str]:
  """Where speech is, and what is asked of the attack."""
  of_attack = [flag for flag in flags if _is_of_attack(flag)]
  if point.part != trained_rows.OUT_OF_DOMAIN:
    of_data = [flag for flag in flags if flag.startswith('--config.data.')]
    return [*of_data, *of_attack]
  return [
    *of_attack,
    '--config.data.corpus=manifest',
    f'--config.data.path={own["--out_of_domain"]}',
    '--config.data.num_heldout_speakers=0',
  ]


def _drained(record: _Record, made: queue.Queue, running: dict) -> int:
  """Keeps rows as they come, until all that makes them has ended."""
  failed, told = 0, set()
  while len(told) < len(running) or not made.empty():
    for finished in [each for each in running if each.done()]:
      if finished not in told:
        told.add(finished)
        if error := finished.exception():
          failed = 1
          name = running[finished].names()
          print(f'{name}: {type(error).__name__}: {error}', file=sys.stderr)
    try:
      row = made.get(timeout=_POLL_SECONDS)
    except queue.Empty:
      continue
    record.add('points', row)
    named = ('training', 'seed', 'round', 'part', 'precision', 'utterance')
    place = ' '.join(str(row[name]) for name in named)
    print(f'{place}: {row["outcome"]}, {row["seconds"]} s', flush=True)
  return failed


def _share_cores(num_jobs: int) -> None:
  """Each process takes its share for linear algebra, which else takes all."""
  share = str(max((os.cpu_count() or 1) // max(num_jobs, 1), 1))
  for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(name, share)


if __name__ == '__main__':
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  _share_cores(int(split(sys.argv[2:])[0]['--jobs']))
  sys.exit(main(sys.argv))
