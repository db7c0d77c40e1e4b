"""Scores by method, with intervals, of one attack or several.

  python -m fedjax_asr.figures.attack_scores OUT.png ATTACK [ATTACK ...]

Each ATTACK is a directory that the job `attack` wrote.
"""

import math
import pathlib
import sys
import textwrap
from collections.abc import Sequence

import matplotlib.figure
import numpy as np

from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.figures import (
  by_command,
  comparison,
  drawn_attack,
  intervals,
  style,
)

# Of a line under a method's points, so that neighbours do not touch.
_TICK_CHARACTERS = 20
_HALF = 0.32
_CAPTION = (
  'bar: median, refusals inside as worse than any; band: its 95% interval '
  '(bootstrap over updates), open below where refusals reach into it'
)

Groups = dict[str, list[drawn_attack.Record]]


def draw(
  attacks: Sequence[drawn_attack.DrawnAttack],
) -> matplotlib.figure.Figure:
  """SNR and correlation of each utterance, by attack and method.

  Raises:
    RunError: scores are missing or damaged, or an attack is given twice.
  """
  with style.context():
    return scores(grouped(attacks))


def grouped(attacks: Sequence[drawn_attack.DrawnAttack]) -> Groups:
  """Records by method, and by attack where there are several."""
  if len(attacks) == 1:
    return drawn_attack.by_method(attacks[0].records)
  names = comparison.labels([attack.path for attack in attacks])
  return {
    f'{style.drawable(name)}\n{method}': records
    for name, attack in zip(names, attacks, strict=True)
    for method, records in drawn_attack.by_method(attack.records).items()
  }


def scores(groups: Groups) -> matplotlib.figure.Figure:
  """A column for each group."""
  size = (max(style.WIDTH, 1.7 * len(groups) + 1), 7.0)
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  snr, correlation = figure.subplots(2, 1, sharex=True)
  for index, records in enumerate(groups.values()):
    color = style.DISTINCT[index % len(style.DISTINCT)]
    _strip(snr, index, records, 'snr_db', color)
    _strip(correlation, index, records, 'best_lag_correlation', 'none', color)
    _strip(correlation, index, records, 'correlation', color)
    _chance(snr, index, records)
  snr.set_title('each utterance; dashed: a guess,\nthe mean of public speech')
  snr.set_ylabel('SNR (dB)')
  correlation.set_title('ring: at the best time lag')
  correlation.set_ylabel('correlation')
  correlation.set_ylim(min(0, correlation.get_ylim()[0]), 1.04)
  correlation.set_xticks(range(len(groups)), _ticks(groups))
  for axes, name in ((snr, 'snr_db'), (correlation, 'correlation')):
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.grid(False, axis='x')
    # Once the axes are as high as the points want them.
    for index, records in enumerate(groups.values()):
      _band(axes, index, records, name)
  caption = textwrap.fill(_CAPTION, int(13 * size[0]))
  figure.supxlabel(caption, fontsize=10, x=0.02, ha='left')
  return figure


def _ticks(groups: Groups) -> list[str]:
  """Names, and how many of their utterances have no point."""
  ticks = []
  for name, records in groups.items():
    num_refused = sum(not score_summary.is_found(record) for record in records)
    counted = f'\n{num_refused} of {len(records)} refused'
    lines = (name + (counted if num_refused else '')).splitlines()
    ticks.append(
      '\n'.join(textwrap.fill(line, _TICK_CHARACTERS) for line in lines)
    )
  return ticks


def _strip(axes, position, records, name, face, edge=None) -> None:
  """A point for each utterance, from left to right; a bar at the median.

  Neither where there is no score.
  """
  values = [record[name] for record in records]
  spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else [0.0]
  points = {
    position + place: value
    for place, value in zip(spread, values, strict=True)
    if value is not None
  }
  if not points:
    return
  size = 22 if edge is None else 60
  axes.scatter(
    list(points),
    list(points.values()),
    size,
    facecolors=face,
    edgecolors=edge or face,
  )
  median = score_summary.median(values)
  if edge is None and median is not None:
    axes.hlines(median, position - _HALF, position + _HALF, color=face)


def _band(axes, position, records, name) -> None:
  """The interval of the median, from the axis where it has no lower end."""
  values = [record[name] for record in records]
  clusters = [record.get('victim', record['utterance']) for record in records]
  found = intervals.median(values, clusters)
  if found is None or not math.isfinite(found.high):
    return
  floor = axes.get_ylim()[0]
  low = found.low if math.isfinite(found.low) else floor
  axes.fill_between(
    (position - _HALF, position + _HALF),
    low,
    found.high,
    color=style.DISTINCT[position % len(style.DISTINCT)],
    alpha=0.25,
    linewidth=0,
  )
  axes.set_ylim(bottom=floor)


def _chance(axes, position, records) -> None:
  """Median of what the same utterances score if the mean of public speech is
  taken for every frame; nothing where that was not measured."""
  values = [record.get('public_snr_db') for record in records]
  known = [value for value in values if value is not None]
  if known:
    axes.hlines(
      np.median(known),
      position - 0.5,
      position + 0.5,
      color=style.INK,
      linestyles='--',
      linewidth=1.4,
    )


def plot(attacks: Sequence[pathlib.Path], output: pathlib.Path) -> pathlib.Path:
  """Draws attacks side by side; raises as `draw` does."""
  figure = draw([drawn_attack.DrawnAttack(path) for path in attacks])
  return style.save(figure, output)


def main(argv: Sequence[str]) -> int:
  return by_command.run(
    argv, 2, __doc__, lambda paths: [plot(paths[1:], paths[0])]
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
