"""Trains configs/communication.py, a code and a seed at a time, and says what
each costs in bytes and in WER.

  python benchmarks/communication.py RESULT.json
      --config=configs/communication.py [--jobs=N] [flags of main]
  python benchmarks/communication.py RESULT.json --table
  python benchmarks/communication.py RESULT.json --docs=docs/communication.md

RESULT.json gets a row as soon as a point is done; points that it has are not
run again. The table has bytes as metrics.jsonl counts them, and over seeds the
mean and the 95% interval (Student's t) of the WER on held-out speakers, and
what all clients had sent when it was 20% for the first time (median of the runs
that came there, and how many did). --docs puts it between the two marks in a
page.
"""

import json
import pathlib
import statistics
import sys

import student
import sweep

from fedjax_asr import run_files, run_log

# At which a recogniser of commands begins to be of use.
USEFUL_WER = 0.2
_BEGIN, _END = '<!-- measured -->', '<!-- /measured -->'
_UP, _DOWN = 'communication/bytes_up', 'communication/bytes_down'
_TOTAL = 'communication/total_bytes_up'


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    if name in ('--table', '--docs'):
      rows = json.loads(pathlib.Path(argv[1]).read_text())['points']
      shown = table(rows)
      if name == '--table':
        print(shown)
      else:
        put(pathlib.Path(value), shown)
      return 0
  return sweep.trained('communication.py', argv, of_run)


def of_run(workdir: pathlib.Path) -> dict:
  """Columns of a finished run."""
  return traffic(run_log.read_metrics(run_files.RunFiles(workdir).metrics))


def traffic(rounds: list[dict]) -> dict:
  """Bytes of a round, by the mean over rounds, and of all.

  useful_bytes_up: sent when the WER was useful; None if it never was.
  """
  useful = [
    row[_TOTAL]
    for row in rounds
    if row.get('eval/wer') is not None and row['eval/wer'] <= USEFUL_WER
  ]
  return {
    'bytes_up': statistics.mean(row[_UP] for row in rounds),
    'bytes_down': statistics.mean(row[_DOWN] for row in rounds),
    'total_bytes_up': rounds[-1][_TOTAL],
    'useful_bytes_up': min(useful, default=None),
  }


def table(points: list[dict]) -> str:
  """Rows in Markdown, a code each, the longest messages first."""
  groups: dict[str, list[dict]] = {}
  for row in points:
    groups.setdefault(row['point']['name'], []).append(row)
  ranked = sorted(groups.items(), key=lambda item: -_mean(item[1], 'bytes_up'))
  longest = _mean(ranked[0][1], 'bytes_up')
  lines = [
    '| code | seeds | MB up a round | of the longest | MB down a round '
    '| MB up in all | WER, new speakers | MB up to 20% |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for name, rows in ranked:
    up = _mean(rows, 'bytes_up')
    cells = [
      name,
      str(len(rows)),
      _megabytes(up),
      f'{up / longest:.1%}',
      _megabytes(_mean(rows, 'bytes_down')),
      _megabytes(_mean(rows, 'total_bytes_up')),
      student.interval([row['final']['eval/wer'] for row in rows]),
      _useful([row['useful_bytes_up'] for row in rows]),
    ]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


def put(page: pathlib.Path, shown: str) -> None:
  """In place of what stands between the marks."""
  before, _, rest = page.read_text().partition(_BEGIN)
  _, end, after = rest.partition(_END)
  if not end:
    raise SystemExit(f'{page}: want a line {_BEGIN} and a line {_END}.')
  page.write_text(f'{before}{_BEGIN}\n\n{shown}\n\n{_END}{after}')


def _mean(rows: list[dict], name: str) -> float:
  return statistics.mean(row[name] for row in rows)


def _megabytes(count: float) -> str:
  return f'{count / 1e6:.3g}'


def _useful(found: list[float | None]) -> str:
  there = [each for each in found if each is not None]
  if not there:
    return 'never'
  return (
    f'{_megabytes(statistics.median(there))} ({len(there)} of {len(found)})'
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
