"""Trains configs/algorithms.py, an algorithm and a seed at a time, and says how
they compare.

  python benchmarks/algorithms.py RESULT.json --config=configs/algorithms.py
      [--jobs=N] [flags of main]
  python benchmarks/algorithms.py RESULT.json --table

Each point of the config's `sweep()` is trained and then evaluated by speaker.
RESULT.json gets a row as soon as one is done; points that it has are not run
again. The table has, over seeds, the mean and the 95% interval (Student's t) of
the WER on held-out speakers, of the WER on held-out sentences of training
speakers and of its worst tenth of them, and rounds to 20% WER (of the runs that
came there, and of how many).
"""

import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Iterable

import sweep

from fedjax_asr import command_line, config_file

# At which a recogniser of commands begins to be of use.
USEFUL_WER = 0.2
# Student's t at 97.5%, by degrees of freedom.
_STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  num_jobs, flags = 1, []
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    if name == '--jobs':
      num_jobs = int(value)
    else:
      flags.append(flag)
  source = command_line.parse(['algorithms.py', *flags]).source
  record = sweep.opened(result, ['algorithms.py', *argv[1:]])
  points = config_file.sweep(source)
  return sweep.measure(result, record, points, flags, num_jobs, by_speaker)


def by_speaker(workdir: pathlib.Path) -> dict:
  """The worst tenth of training speakers, on sentences that are held out."""
  subprocess.run(
    [
      *(sys.executable, '-m', 'fedjax_asr.main'),
      '--config=configs/evaluate.py',
      f'--config.evaluate.run={workdir}',
      '--config.evaluate.subset=heldout_utterances',
      f'--workdir={workdir}/by_speaker',
    ],
    check=True,
    stdout=subprocess.DEVNULL,
  )
  (report,) = (workdir / 'by_speaker').rglob('evaluation.json')
  return {'worst_decile': json.loads(report.read_text())['worst_decile']['wer']}


def table(points: list[dict]) -> str:
  """Rows in Markdown, an algorithm each, the lowest WER first."""
  groups: dict[str, list[dict]] = {}
  for row in points:
    groups.setdefault(row['point']['name'], []).append(row)
  ranked = sorted(groups.items(), key=lambda item: _mean(_wers(item[1])))
  lines = [
    '| algorithm | seeds | WER | worst seed | WER, held-out sentences of '
    'training speakers | worst tenth of them | rounds to 20% WER |',
    '|---|---|---|---|---|---|---|',
  ]
  for name, rows in ranked:
    others = [row['final']['eval/utterance_wer'] for row in rows]
    worst = [row['worst_decile'] for row in rows]
    lines.append(
      f'| {name} | {len(rows)} | {interval(_wers(rows))} '
      f'| {max(_wers(rows)):.1%} | {interval(others)} | {interval(worst)} '
      f'| {_useful_after(rows)} |'
    )
  return '\n'.join(lines)


def interval(values: Iterable[float]) -> str:
  """Mean and half of the 95% interval of it, in per cent."""
  values = list(values)
  mean = f'{_mean(values):.1%}'
  if len(values) < 2:
    return mean
  error = statistics.stdev(values) / len(values) ** 0.5
  return f'{mean} ± {_STUDENT[len(values) - 1] * error:.1%}'


def _useful_after(rows: list[dict]) -> str:
  """Rounds until the WER is useful, and how many seeds came there."""
  found = [
    min(
      (
        int(number)
        for number, wer in row['wer_by_round'].items()
        if wer <= USEFUL_WER
      ),
      default=None,
    )
    for row in rows
  ]
  there = [number for number in found if number is not None]
  if not there:
    return 'never'
  return f'{statistics.median(there):g} ({len(there)} of {len(rows)})'


def _wers(rows: list[dict]) -> list[float]:
  return [row['final']['eval/wer'] for row in rows]


def _mean(values: list[float]) -> float:
  return statistics.mean(values)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
