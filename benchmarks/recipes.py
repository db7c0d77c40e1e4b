"""Says what the sweeps of configs/recipes.py came to.

  python benchmarks/recipes.py RESULT.json [RESULT.json ...]

Points that differ in nothing but their seed, or in who is held out, are one
row: mean WER on held-out speakers with the 95% interval of that mean (Student's
t over draws), and the WER of each draw, in the order of the sweep; the lowest
mean first. Settings that all points share are left out.
"""

import json
import pathlib
import statistics
import sys

import student

# Of draws, not of settings.
_DRAWS = ('seed', 'data.heldout_speakers')


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  for path in argv[1:]:
    print(table(json.loads(pathlib.Path(path).read_text())['points']))
  return 0


def table(points: list[dict]) -> str:
  """Rows in Markdown."""
  groups: dict[str, list[dict]] = {}
  for row in points:
    groups.setdefault(_settings(row, points), []).append(row)
  lines = [
    '| settings | draws | WER, held-out speakers | by draw '
    '| held-out utterances |',
    '|---|---|---|---|---|',
  ]
  ranked = sorted(groups.items(), key=lambda group: mean_wer(group[1]))
  for settings, rows in ranked:
    wers = [row['final']['eval/wer'] for row in sorted(rows, key=_draw)]
    others = [row['final']['eval/utterance_wer'] for row in rows]
    by_draw = ' '.join(f'{100 * wer:.1f}' for wer in wers)
    lines.append(
      f'| {settings} | {len(rows)} | {student.interval(wers)} | {by_draw} '
      f'| {statistics.mean(others):.1%} |'
    )
  return '\n'.join(lines)


def mean_wer(rows: list[dict]) -> float:
  return statistics.mean(row['final']['eval/wer'] for row in rows)


def _settings(row: dict, points: list[dict]) -> str:
  """What is not the same in all points, with the sections' names left out."""
  shown = []
  for name in dict.fromkeys(name for each in points for name in each['point']):
    values = {json.dumps(each['point'].get(name)) for each in points}
    if len(values) > 1 and name not in _DRAWS and name in row['point']:
      shown.append(f'{name.rpartition(".")[2]}={row["point"][name]}')
  return ', '.join(shown) or 'as it is'


def _draw(row: dict) -> str:
  return str([row['point'].get(name) for name in _DRAWS])


if __name__ == '__main__':
  sys.exit(main(sys.argv))
