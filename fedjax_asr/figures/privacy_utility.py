"""What defences save of speech against the WER that they cost.

  python -m fedjax_asr.figures.privacy_utility OUT.png RECORD [RECORD ...]

Each RECORD is a file that `benchmarks/decide.py --wer` wrote, or a directory
of the job `attack`, or of the job `train` with the same model and federated
training: such a pair gives a point.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker

from fedjax_asr import run_error
from fedjax_asr.figures import (
  defence_points,
  label_places,
  leakage,
  recovered_axis,
  style,
)

_CAPTION = (
  'Best is below and to the left. Each point is the WER of training, a mean '
  'where there are several seeds, and the median utterance by the strongest '
  'attack in the record (bar: its 95% interval); ring: the first of its sweep; '
  'grey: the other defences; '
  f'{recovered_axis.EXPLAINED}. A line joins strengths that one number orders, '
  'and no points of two defences.'
)


def draw(
  families: Sequence[defence_points.Family],
) -> matplotlib.figure.Figure:
  """A panel for each defence, on common axes.

  Raises:
    RunError: no point has both numbers.
  """
  drawn = [_measured(family) for family in families]
  drawn = [family for family in drawn if family.points]
  if not drawn:
    raise run_error.RunError(
      'no point has a WER beside what was recovered; want the record of '
      'benchmarks/decide.py with --wer, or training runs with the model and '
      'federated training of the attacks.'
    )
  with style.context():
    figure, panels = leakage.paneled(len(drawn), 3.3)
    for axes, family in zip(panels, drawn, strict=True):
      _draw_family(axes, family, list(drawn))
    # Labels go where the layout leaves them room.
    figure.canvas.draw()
    for axes, family in zip(panels, drawn, strict=True):
      _label(axes, family)
    leakage.caption(figure, _CAPTION + _left_out(families))
    return figure


def _measured(family) -> defence_points.Family:
  return family._replace(
    points=tuple(
      point
      for point in family.points
      if point.certified is not None and point.wer is not None
    )
  )


def _left_out(families) -> str:
  missing = sum(
    point.certified is None or point.wer is None
    for family in families
    for point in family.points
  )
  return f' {missing} points lack one of the two numbers.' if missing else ''


def _draw_family(axes: Any, family, families) -> None:
  for other in families:
    if other is not family:
      axes.plot(*_places(other), 'o', color=style.INK, markersize=3, alpha=0.35)
  color = style.BLUE
  rates, heights = _places(family)
  if family.is_curve:
    axes.plot(rates, heights, color=color, linewidth=1.2)
  for index, point in enumerate(family.points):
    low, high = recovered_axis.whisker(point)
    axes.vlines(rates[index], low, high, color=color, linewidth=4, alpha=0.4)
    axes.plot(
      rates[index],
      heights[index],
      'o',
      color=color,
      markersize=8 if index == 0 else 6,
      markerfacecolor='none' if index == 0 else color,
      markeredgewidth=1.6,
    )
  recovered_axis.finish(axes, families)
  most = max(rate for each in families for rate in _places(each)[0])
  axes.set_xlim(0, 1.08 * most)
  axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.set_title(f'{family.name}\n({family.axis})', fontsize=10)
  axes.set_xlabel('WER on held-out speakers', fontsize=10)


def _places(family) -> tuple[list[float], list[float]]:
  return (
    [point.wer for point in family.points],
    [recovered_axis.height(point.snr_db) for point in family.points],
  )


def _label(axes: Any, family) -> None:
  texts = [family.label(point) for point in family.points]
  places = list(zip(*_places(family), strict=True))
  lines = [
    [(rate, low), (rate, high)]
    for (rate, _), (low, high) in zip(
      places, map(recovered_axis.whisker, family.points), strict=True
    )
  ]
  if family.is_curve:
    lines += [list(pair) for pair in itertools.pairwise(places)]
  label_places.place(axes, places, texts, lines)


def main(argv: Sequence[str]) -> int:
  return leakage.drawn_by_command(argv, draw, __doc__)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
