"""Trains every point of a config's `sweep()` and records what each came to.

  python benchmarks/sweep.py RESULT.json --config=... [--jobs=N] [--seeds=N]
      [flags of main]

Each point is a process of its own, N at once; with --seeds, points are the
config as it is, with the seeds from 0 on. RESULT.json gets a row as soon as
one is done, with WER and CER on the held-out sets at the end and the WER at
each evaluation. Points that it has are not run again. Work directories are
temporary.

  python benchmarks/sweep.py RESULT.json --table

prints the rows in Markdown, the lowest WER first.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import main_job

from fedjax_asr import (
  command_line,
  config_file,
  environment,
  run_files,
  run_log,
)


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  own = {'--jobs': 1, '--seeds': 0}
  flags = []
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    if name in own:
      own[name] = int(value)
    else:
      flags.append(flag)
  points = [{'seed': seed} for seed in range(own['--seeds'])]
  if not points:
    source = command_line.parse(['sweep.py', *flags]).source
    points = config_file.sweep(source)
  record = opened(result, ['sweep.py', *argv[1:]])
  return measure(result, record, points, flags, own['--jobs'])


def measure(
  result: pathlib.Path,
  record: dict,
  points: list[dict],
  flags: list[str],
  num_jobs: int,
  of_run: Callable[[pathlib.Path], dict] = lambda workdir: {},
) -> int:
  """Runs what the record lacks; 1 if a point failed.

  `of_run` gives more columns, of a finished run's directory.
  """
  had = [row['point'] for row in record['points']]
  points = [each for each in points if each not in had]
  failed = 0
  with concurrent.futures.ThreadPoolExecutor(num_jobs) as pool:
    running = [pool.submit(_trained, point, flags, of_run) for point in points]
    for done in concurrent.futures.as_completed(running):
      row = done.result()
      print(json.dumps(row), flush=True)
      if 'error' in row:
        failed = 1
        continue
      record['points'].append(row)
      result.write_text(json.dumps(record, indent=1) + '\n')
  return failed


def opened(result: pathlib.Path, command: list[str]) -> dict:
  if result.exists():
    return json.loads(result.read_text())
  return {
    'command': ' '.join(command),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'points': [],
  }


def _trained(
  point: dict,
  flags: list[str],
  of_run: Callable[[pathlib.Path], dict],
) -> dict:
  """One row, from a process of `main`."""
  overrides = [f'--config.{name}={value}' for name, value in point.items()]
  started = time.perf_counter()
  with tempfile.TemporaryDirectory() as scratch:
    workdir = pathlib.Path(scratch) / 'run'
    done = subprocess.run(
      [
        *(sys.executable, '-m', 'fedjax_asr.main'),
        *flags,
        *overrides,
        f'--workdir={workdir}',
      ],
      capture_output=True,
      text=True,
      check=False,
    )
    if done.returncode:
      return {'point': point, 'error': done.stderr[-2000:]}
    rounds = run_log.read_metrics(run_files.RunFiles(workdir).metrics)
    more = of_run(workdir)
  summary = main_job.summary(rounds)
  kept = ('final', 'wer_by_round', 'round_seconds')
  return {
    'point': point,
    'seconds': round(time.perf_counter() - started, 1),
    **{name: summary[name] for name in kept},
    **more,
  }


def table(points: list[dict]) -> str:
  """Rows by WER on held-out speakers; each field that varies is a column."""
  ranked = sorted(points, key=lambda row: row['final']['eval/wer'])
  names = list(ranked[0]['point'])
  head = [*names, 'WER', 'WER, held-out utterances', 'seconds']
  lines = [' | '.join(head), ' | '.join(['---'] * len(head))]
  for row in ranked:
    final = row['final']
    cells = [
      *(str(row['point'][name]) for name in names),
      f'{100 * final["eval/wer"]:.1f}%',
      f'{100 * final["eval/utterance_wer"]:.1f}%',
      f'{row["seconds"]:.0f}',
    ]
    lines.append(' | '.join(cells))
  return '\n'.join(f'| {line} |' for line in lines)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
