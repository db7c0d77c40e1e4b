"""Trains configs/privacy.py, and says what each epsilon costs in words.

  python benchmarks/privacy.py RESULT.json --config=configs/privacy.py
      [--jobs=N] [flags of main]
  python benchmarks/privacy.py RESULT.json --table
  python benchmarks/privacy.py TUNING.json --chosen

RESULT.json gets a row as soon as a point of the config's `sweep()` is done;
points that it has are not run again. The table has, over seeds, the mean and
the 95% interval (Student's t) of the WER on held-out speakers, by way of
clipping, optimizer of the server and noise, with the epsilons that were spent.
--chosen says which setting of configs/privacy.py:tuning has the lowest WER.
"""

import json
import pathlib
import sys

import student
import sweep

from fedjax_asr import run_files, run_log

_NOISE = 'federated.privacy.central_noise_multiplier'


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  for flag, shown in (('--table', table), ('--chosen', choices)):
    if flag in argv:
      print(shown(json.loads(result.read_text())['points']))
      return 0
  return sweep.trained('privacy.py', argv, of_run)


def of_run(workdir: pathlib.Path) -> dict:
  """What the run has spent by its last round; {} of one without noise."""
  *_, last = run_log.read_metrics(run_files.RunFiles(workdir).metrics)
  return {
    'privacy': {
      name.removeprefix('privacy/'): value
      for name, value in last.items()
      if name.startswith('privacy/')
    }
  }


def table(rows: list[dict]) -> str:
  """Markdown: a row for each noise, a column for each way."""
  names = list(dict.fromkeys(row['point']['name'] for row in rows))
  noises = sorted({row['point'][_NOISE] for row in rows})
  lines = [
    f'| epsilon, extrapolated | of the run | {" | ".join(names)} |',
    '|---|---|' + '---|' * len(names),
  ]
  for noise in noises:
    own = [row for row in rows if row['point'][_NOISE] == noise]
    cells = [_wer(own, name) for name in names]
    spent = own[0]['privacy']
    epsilons = [
      _shown(spent.get(name))
      for name in ('extrapolated_epsilon_pld', 'epsilon_rdp')
    ]
    lines.append(f'| {" | ".join([*epsilons, *cells])} |')
  return '\n'.join(lines)


def _wer(rows: list[dict], name: str) -> str:
  values = [_of(row) for row in rows if row['point']['name'] == name]
  return student.interval(values) if values else '-'


def _of(row: dict) -> float:
  return row['final']['eval/wer']


def _shown(epsilon: float | None) -> str:
  return 'none' if epsilon is None else f'{epsilon:.3g}'


def choices(rows: list[dict]) -> str:
  """Of each way, its points, the lowest WER first."""
  lines = []
  for name in dict.fromkeys(row['point']['name'] for row in rows):
    own = [row for row in rows if row['point']['name'] == name]
    for row in sorted(own, key=_of):
      point = row['point']
      lines.append(
        f'{name}: WER {_of(row):.1%} at clip_norm '
        f'{point["federated.privacy.clip_norm"]:g}, rate '
        f'{point["federated.server.learning_rate"]:g}'
      )
  return '\n'.join(lines)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
