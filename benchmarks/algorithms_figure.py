"""Draws what benchmarks/algorithms.py measured, an algorithm a line.

  python benchmarks/algorithms_figure.py OUT.png 'clients are speakers=A.json'
      'clients of few kinds of sentences=B.json'

Points are seeds and a bar is their mean: of WER on speakers who never took
part, and of the worst tenth of those who did, on sentences that are held out.
Algorithms stand in order of the first file's mean WER.
"""

import json
import pathlib
import statistics
import sys

import algorithms
import matplotlib.figure
import matplotlib.ticker

from fedjax_asr.figures import style

_PANELS = {
  'WER of new speakers': lambda row: row['final']['eval/wer'],
  'WER of the worst tenth of training speakers': lambda row: row['shared'][
    'worst_decile'
  ],
}


def main(argv: list[str]) -> int:
  if len(argv) < 3:
    print(__doc__, file=sys.stderr)
    return 2
  results = {}
  for argument in argv[2:]:
    title, _, path = argument.rpartition('=')
    points = json.loads(pathlib.Path(path).read_text())['points']
    results[title] = algorithms.by_name(points)
  with style.context():
    style.save(drawn(results), pathlib.Path(argv[1]))
  return 0


def drawn(
  results: dict[str, dict[str, list[dict]]],
) -> matplotlib.figure.Figure:
  first = next(iter(results.values()))
  names = sorted(first, key=lambda name: algorithms.mean_wer(first[name]))
  figure = matplotlib.figure.Figure(
    figsize=(2 * style.WIDTH, 0.3 * len(names) + 1.2), layout='constrained'
  )
  panels = figure.subplots(1, len(_PANELS), sharey=True)
  for axes, (title, value) in zip(panels, _PANELS.items(), strict=True):
    _draw(axes, results, names, value)
    axes.set_title(title)
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.set_xlim(left=0.0)
  panels[0].set_yticks(range(len(names)), names)
  panels[0].invert_yaxis()
  figure.legend(
    *panels[0].get_legend_handles_labels(),
    loc='outside lower center',
    ncols=len(results),
  )
  return figure


def _draw(axes, results, names, value) -> None:
  """Each result beside the others, on the lines of the algorithms it has."""
  for index, (title, groups) in enumerate(results.items()):
    look = style.line(index)
    shift = 0.36 * ((index + 0.5) / len(results) - 0.5)
    label = title
    for place, name in enumerate(names):
      values = [value(row) for row in groups.get(name, ())]
      if not values:
        continue
      height = [place + shift] * len(values)
      axes.plot(
        values,
        height,
        color=look['color'],
        marker=look['marker'],
        linestyle='',
        alpha=0.7,
        label=label,
      )
      axes.plot(
        statistics.mean(values),
        place + shift,
        color=look['color'],
        marker='|',
        markersize=13,
        markeredgewidth=2,
        linestyle='',
      )
      label = None


if __name__ == '__main__':
  sys.exit(main(sys.argv))
