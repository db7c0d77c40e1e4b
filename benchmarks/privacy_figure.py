"""Draws what each epsilon costs in words, of benchmarks/privacy.py's record.

  python benchmarks/privacy_figure.py RESULT.json OUT.png

A panel for the epsilon of the runs' own population and one for that of the
extrapolated one; a line for each way of clipping and optimizer of the server:
the mean over seeds of the WER on held-out speakers, with its 95% interval
(Student's t). Of several settings of one way and one noise, as of
configs/privacy.py:tuning, the one with the lowest mean WER.
"""

import collections
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import json_file, run_error
from fedjax_asr.figures import by_command, intervals, leakage, style

_NOISE = 'federated.privacy.central_noise_multiplier'
# What is not a setting: a point of another seed is one of the same.
_SEED, _NAME = 'seed', 'name'
_PANELS = {
  '': 'epsilon of this population',
  'extrapolated_': 'epsilon, extrapolated population',
}
_CAPTION = (
  'Left is more private, below is better. Each point: the mean over seeds, '
  "with the 95% interval (Student's t) where there are several; ways of one "
  'epsilon stand beside one another. Of PLD and RDP the lower epsilon.'
)
# Of one epsilon, from way to way.
_APART = 1.03
# Of two ticks, at least.
_TICKS_APART = 1.25

Rows = Sequence[Mapping[str, Any]]


def main(argv: Sequence[str]) -> int:
  return by_command.run(
    argv,
    2,
    __doc__,
    lambda paths: [style.save(draw(_read(paths[0])), paths[1])],
  )


def _read(path: pathlib.Path) -> Rows:
  try:
    return json_file.read(path)['points']
  except (KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{path}: {error!r}; want a record of benchmarks/privacy.py.'
    ) from error


def draw(rows: Rows) -> matplotlib.figure.Figure:
  """Raises `RunError` where no row has an epsilon."""
  ways = list(dict.fromkeys(row['point'][_NAME] for row in rows))
  panels = [
    prefix
    for prefix in _PANELS
    if any(epsilon(row, prefix) is not None for row in rows)
  ]
  if not panels:
    raise run_error.RunError('no point has a finite epsilon; want one or more.')
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(max(1.6, len(panels)) * style.WIDTH, 4.4), layout='constrained'
    )
    drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, prefix in zip(drawn, panels, strict=True):
      for index, way in enumerate(ways):
        _draw_way(axes, index, way, rows, prefix)
      _draw_without(axes, rows)
      _finish(axes, _PANELS[prefix], _spent(rows, prefix))
    drawn[0].set_ylabel('WER, held-out speakers')
    figure.legend(
      *_entries(drawn), loc='outside upper left', ncols=3, handlelength=3.5
    )
    leakage.caption(figure, _CAPTION + _left_out(rows, panels))
    return figure


def epsilon(row: Mapping[str, Any], prefix: str) -> float | None:
  found = [
    row['privacy'].get(f'{prefix}epsilon_{way}') for way in ('pld', 'rdp')
  ]
  return min((each for each in found if each is not None), default=None)


def _wer(row: Mapping[str, Any]) -> float:
  return row['final']['eval/wer']


def best(rows: Rows) -> Rows:
  """Seeds of the setting with the lowest mean."""
  settings: dict[str, list] = collections.defaultdict(list)
  for row in rows:
    settings[_setting(row)].append(row)
  return min(settings.values(), key=lambda own: np.mean([*map(_wer, own)]))


def _setting(row: Mapping[str, Any]) -> str:
  rest = {name: each for name, each in row['point'].items() if name != _SEED}
  return json.dumps(rest, sort_keys=True)


def _draw_way(axes: Any, index: int, way: str, rows: Rows, prefix: str) -> None:
  own = [row for row in rows if row['point'][_NAME] == way]
  noises = sorted({row['point'][_NOISE] for row in own})
  points = []
  for noise in noises:
    chosen = best([row for row in own if row['point'][_NOISE] == noise])
    spent = epsilon(chosen[0], prefix)
    if spent is not None:
      points.append((spent, np.array([*map(_wer, chosen)])))
  if not points:
    return
  look = style.line(index)
  places = [spent * _APART**index for spent, _ in points]
  axes.plot(
    places,
    [rates.mean() for _, rates in points],
    color=look['color'],
    linestyle=look['linestyle'],
    marker=look['marker'],
    markersize=6,
    label=way.replace('_', ' '),
  )
  for place, (_, rates) in zip(places, points, strict=True):
    if len(rates) > 1:
      spread = intervals.mean_spread(rates[:, None])[0]
      middle = rates.mean()
      axes.vlines(
        place,
        middle - spread,
        middle + spread,
        color=look['color'],
        linewidth=4,
        alpha=0.4,
      )


def _draw_without(axes: Any, rows: Rows) -> None:
  """The lowest mean of points without noise, where there are some."""
  own = [row for row in rows if not row['point'][_NOISE]]
  if own:
    rate = float(np.mean([*map(_wer, best(own))]))
    axes.axhline(
      rate,
      color=style.INK,
      linestyle='--',
      linewidth=1.4,
      label=f'lowest without noise: {rate:.1%}',
    )


def _spent(rows: Rows, prefix: str) -> list[float]:
  """Epsilons that occur, without those that would be one tick."""
  kept: list[float] = []
  found = {epsilon(row, prefix) for row in rows}
  for spent in sorted(each for each in found if each is not None):
    if not kept or spent > _TICKS_APART * kept[-1]:
      kept.append(spent)
  return kept


def _finish(axes: Any, title: str, ticks: Sequence[float]) -> None:
  axes.set_xscale('log')
  axes.set_xticks(ticks, [f'{tick:.3g}' for tick in ticks])
  axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
  axes.set_xlim(ticks[0] / 1.3, 1.5 * ticks[-1])
  axes.yaxis.set_major_formatter(
    matplotlib.ticker.FuncFormatter(lambda value, _: f'{100 * value:g}%')
  )
  axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
  axes.set_title(title)
  axes.set_xlabel('epsilon')


def _entries(drawn: Sequence[Any]) -> tuple[list, list]:
  """Of all panels, each name once."""
  found = {}
  for axes in drawn:
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
      found.setdefault(label, handle)
  return list(found.values()), list(found)


def _left_out(rows: Rows, panels: Sequence[str]) -> str:
  """Points with noise that have no place on an axis."""
  told = ''
  for prefix, title in _PANELS.items():
    count = sum(
      bool(row['point'][_NOISE]) and epsilon(row, prefix) is None
      for row in rows
    )
    if count:
      drawn = '' if prefix in panels else ', so that it has no panel'
      told += f' Without a finite {title}: {count} points{drawn}.'
  return told


if __name__ == '__main__':
  sys.exit(main(sys.argv))
