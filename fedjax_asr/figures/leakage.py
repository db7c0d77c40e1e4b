"""What an attack recovers under each defence, by the defence's strength.

  python -m fedjax_asr.figures.leakage OUT.png RECORD [RECORD ...]

Each RECORD is a file of benchmarks/decide.py, or a directory of the job
`attack`. What the same defences cost is drawn by
fedjax_asr.figures.privacy_utility.
"""

import math
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.figure

from fedjax_asr import run_error
from fedjax_asr.figures import by_command, defence_points, recovered_axis, style

_COLUMNS = 3
_CAPTION = (
  'Each point is the median utterance by the strongest attack in the record '
  '(bar: its 95% interval), beside it how many of all are certified; '
  f'{recovered_axis.EXPLAINED}. A line joins strengths that one number orders.'
)


def draw(
  families: Sequence[defence_points.Family],
) -> matplotlib.figure.Figure:
  """A panel for each defence.

  Raises:
    RunError: nothing was attacked.
  """
  drawn = [_attacked(family) for family in families]
  drawn = [family for family in drawn if family.points]
  if not drawn:
    raise run_error.RunError(
      'the records have no attack; want one of benchmarks/decide.py, or a '
      'directory of the job attack.'
    )
  with style.context():
    figure, panels = paneled(len(drawn), 2.9)
    for axes, family in zip(panels, drawn, strict=True):
      _draw_family(axes, family, list(drawn))
    caption(figure, _CAPTION + _left_out(families))
    return figure


def _attacked(family) -> defence_points.Family:
  return family._replace(
    points=tuple(
      point for point in family.points if point.certified is not None
    )
  )


def _left_out(families) -> str:
  missing = sum(
    point.certified is None for family in families for point in family.points
  )
  return f' {missing} points were not attacked.' if missing else ''


def paneled(count: int, height: float) -> tuple[Any, list[Any]]:
  """A figure of so many panels with one ordinate, and the panels."""
  columns = min(count, _COLUMNS)
  rows = math.ceil(count / columns)
  figure = matplotlib.figure.Figure(
    figsize=(max(style.WIDTH, 3.4 * columns), height * rows + 0.9),
    layout='constrained',
  )
  grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
  panels = grid.ravel().tolist()
  for axes in panels[count:]:
    axes.set_axis_off()
  for axes in grid[:, 0]:
    axes.set_ylabel('SNR (dB)')
  return figure, panels[:count]


def caption(figure: Any, said: str) -> None:
  """Under all panels."""
  width = int(13 * figure.get_size_inches()[0])
  lines = textwrap.fill(said, width)
  figure.supxlabel(lines, fontsize=10, x=0.02, ha='left')


def _draw_family(axes, family, families) -> None:
  color = style.BLUE
  heights = [recovered_axis.height(each.snr_db) for each in family.points]
  if family.is_curve:
    axes.plot(range(len(heights)), heights, color=color, linewidth=1.2)
  for place, point in enumerate(family.points):
    low, high = recovered_axis.whisker(point)
    has_found = high > recovered_axis.NOTHING_DB
    axes.vlines(place, low, high, color=color, linewidth=4, alpha=0.4)
    axes.plot(place, heights[place], 'o', color=color, markersize=6)
    axes.annotate(
      f'{point.certified}/{point.total}',
      (place, high),
      (0, 4 if has_found else -6),
      textcoords='offset points',
      ha='center',
      va='bottom' if has_found else 'top',
      fontsize=9,
    )
  recovered_axis.finish(axes, families)
  axes.set_xlim(-0.6, len(heights) - 0.4)
  labels = [family.label(point) for point in family.points]
  is_long = sum(map(len, labels)) > 30
  axes.set_xticks(
    range(len(labels)),
    labels,
    fontsize=10,
    rotation=35 if is_long else 0,
    ha='right' if is_long else 'center',
    rotation_mode='anchor',
  )
  axes.grid(False, axis='x')
  axes.set_title(family.name)
  axes.set_xlabel(textwrap.fill(family.axis, 34), fontsize=10)


def main(argv: Sequence[str]) -> int:
  return drawn_by_command(argv, draw, __doc__ or '')


def drawn_by_command(argv: Sequence[str], draw: Any, usage: str | None) -> int:
  """Reads the records and draws them."""
  return by_command.run(
    argv,
    2,
    usage,
    lambda paths: [style.save(draw(defence_points.read(paths[1:])), paths[0])],
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
