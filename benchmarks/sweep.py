"""Trains every point of a config's `sweep()` and records what each came to.

  python benchmarks/sweep.py RESULT.json --config=... [--jobs=N] [--seeds=N]
      [flags of main]

N points are trained at once, by processes that take one after another and
share the GPUs there are evenly; with --seeds, points are the config as it is,
with the seeds from 0 on. RESULT.json gets a row as soon as one is done, with
WER and CER on the held-out sets at the end and the WER at each evaluation.
Points that it has are not run again. Work directories are temporary.

  python benchmarks/sweep.py RESULT.json --table

prints the rows in Markdown, the lowest WER first.
"""

import concurrent.futures
import contextlib
import io
import json
import multiprocessing
import os
import pathlib
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
from fedjax_asr import main as fedjax_main


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  own, flags = split(argv[2:], {'--jobs': 1, '--seeds': 0})
  points = [{'seed': seed} for seed in range(own['--seeds'])]
  if not points:
    source = command_line.parse(['sweep.py', *flags]).source
    points = config_file.sweep(source)
  record = opened(result, ['sweep.py', 'RESULT.json', *argv[2:]])
  return measure(result, record, points, flags, own['--jobs'])


def split(
  words: list[str], own: dict[str, int]
) -> tuple[dict[str, int], list[str]]:
  """A benchmark's own numbers, with those given in place of `own`, and what is
  for `main`."""
  given, flags = split_words(words, {name: str(own[name]) for name in own})
  return {name: int(value) for name, value in given.items()}, flags


def split_words(
  words: list[str], own: dict[str, str]
) -> tuple[dict[str, str], list[str]]:
  """As `split`, of a benchmark's own words."""
  own, flags = dict(own), []
  for word in words:
    name, _, value = word.partition('=')
    if name in own:
      own[name] = value
    else:
      flags.append(word)
  return own, flags


def trained(
  name: str, argv: list[str], of_run: Callable[[pathlib.Path], dict]
) -> int:
  """`measure` of every point of the config's sweep, by a script's arguments."""
  own, flags = split(argv[2:], {'--jobs': 1})
  source = command_line.parse([name, *flags]).source
  result = pathlib.Path(argv[1])
  record = opened(result, [name, 'RESULT.json', *argv[2:]])
  points = config_file.sweep(source)
  return measure(result, record, points, flags, own['--jobs'], of_run)


def nothing_more(workdir: pathlib.Path) -> dict:
  """No column of a run beside what its metrics say."""
  del workdir
  return {}


def measure(
  result: pathlib.Path,
  record: dict,
  points: list[dict],
  flags: list[str],
  num_jobs: int,
  of_run: Callable[[pathlib.Path], dict] = nothing_more,
) -> int:
  """Runs what the record lacks; 1 if a point failed.

  `of_run` gives more columns, of a finished run's directory; it is called in
  the process that trained.
  """
  had = [row['point'] for row in record['points']]
  points = [each for each in points if each not in had]
  failed = 0
  with _processes(num_jobs, record['machine']['devices']) as pool:
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


def opened(
  result: pathlib.Path, command: list[str], rows: str = 'points'
) -> dict:
  """The record, or one to begin with, whose rows stand under `rows`."""
  if result.exists():
    return json.loads(result.read_text())
  return {
    'command': ' '.join(command),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    rows: [],
  }


def _processes(
  num_jobs: int, kinds: list[str]
) -> concurrent.futures.ProcessPoolExecutor:
  """Processes of which each sees one of the GPUs."""
  context = multiprocessing.get_context('spawn')
  turns = context.Value('i', 0)
  num_gpus = sum('NVIDIA' in kind for kind in kinds)
  return concurrent.futures.ProcessPoolExecutor(
    num_jobs, context, initializer=_take_gpu, initargs=(turns, num_gpus)
  )


def _take_gpu(turns, num_gpus: int) -> None:
  """Before JAX looks for devices here."""
  with turns.get_lock():
    turn = turns.value
    turns.value += 1
  if num_gpus > 1:
    os.environ['CUDA_VISIBLE_DEVICES'] = str(turn % num_gpus)


def _trained(
  point: dict,
  flags: list[str],
  of_run: Callable[[pathlib.Path], dict],
) -> dict:
  """One row, of `main` with the flags of this point."""
  overrides = [f'--config.{name}={value}' for name, value in point.items()]
  started = time.perf_counter()
  with tempfile.TemporaryDirectory() as scratch:
    workdir = pathlib.Path(scratch) / 'run'
    error = run_main([*flags, *overrides, f'--workdir={workdir}'])
    if error:
      return {'point': point, 'error': error[-2000:]}
    rounds = run_log.read_metrics(run_files.RunFiles(workdir).metrics)
    more = of_run(workdir)
  summary = main_job.summary(rounds)
  kept = ('final', 'wer_by_round', 'compile_seconds', 'round_seconds')
  return {
    'point': point,
    'seconds': round(time.perf_counter() - started, 1),
    **{name: summary[name] for name in kept},
    **more,
  }


def run_main(flags: list[str]) -> str:
  """Runs `main` here; what it said of an error, '' if there was none."""
  said = io.StringIO()
  with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    status = fedjax_main.main(['main', *flags])
  return said.getvalue() or f'exit status {status}' if status else ''


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
