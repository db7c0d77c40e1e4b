"""What canaries prove of a run's epsilon, beside what it promises."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import config
from fedjax_asr.figures import drawn_audit, leakage, style

# Keys of a score, what they are called, and their marks.
BOUNDS = (
  ('clopper_pearson', 'proven, of thresholds', 'o', style.BLUE),
  ('one_run', 'proven, of one run', 's', style.DISTINCT[2]),
  ('gdp', 'proven if noise is Gaussian', 'D', style.DISTINCT[3]),
)
_ESTIMATE = 'estimate of Gaussian scores'
_COLUMNS = 2
_CAPTION = (
  'Bounds say that epsilon is at least so much, with the confidence of the '
  'audit for all scores together; those of a few canaries stay low whatever '
  'epsilon is. The estimate has an interval, and proves nothing.'
)


def draw(audit: drawn_audit.DrawnAudit) -> matplotlib.figure.Figure:
  """Bounds by score above, and what canaries scored below.

  Raises:
    Missing: canaries were not measured.
  """
  part = audit.part(config.AuditPart.CANARIES)
  scores = part['scores']
  num_rows = math.ceil(len(scores) / _COLUMNS)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(1.8 * style.WIDTH, 4.6 + 2.0 * num_rows), layout='constrained'
    )
    grid = figure.add_gridspec(
      1 + num_rows, _COLUMNS, height_ratios=[2.4, *[1.0] * num_rows]
    )
    bounds = figure.add_subplot(grid[0, :])
    _draw_bounds(bounds, part)
    for index, (name, score) in enumerate(scores.items()):
      axes = figure.add_subplot(grid[1 + index // _COLUMNS, index % _COLUMNS])
      _draw_scores(axes, name, score, has_labels=not index)
    figure.legend(
      *bounds.get_legend_handles_labels(),
      loc='outside upper left',
      ncols=3,
      fontsize=9,
    )
    leakage.caption(figure, _said(part))
    return figure


def epsilon(part: Mapping[str, Any]) -> float | None:
  """What was promised, by the lower way of accounting."""
  accounted = part['accounted'] or {}
  found = [accounted.get(name) for name in ('epsilon_pld', 'epsilon_rdp')]
  return min((each for each in found if each is not None), default=None)


def _draw_bounds(axes: Any, part: Mapping[str, Any]) -> None:
  names = list(part['scores'])
  for key, label, marker, color in BOUNDS:
    found = [part['scores'][name][key] for name in names]
    place = [row + 0.2 * (_place(key) - 1.5) for row in range(len(names))]
    axes.hlines(place, 0, found, color=color, linewidth=2, alpha=0.5)
    axes.plot(
      found,
      place,
      marker,
      color=color,
      markersize=7,
      label=label,
      zorder=3,
      clip_on=False,
    )
  label = _ESTIMATE
  for row, name in enumerate(names):
    estimate = part['scores'][name].get('gaussian')
    if estimate is not None:
      height = row + 0.2 * 1.5
      axes.hlines(
        height,
        estimate['low'],
        estimate['high'],
        color=style.ORANGE,
        linewidth=5,
        alpha=0.5,
      )
      axes.plot(
        estimate['epsilon'],
        height,
        '^',
        color=style.ORANGE,
        markersize=7,
        label=label,
        zorder=3,
      )
      label = None
  promised = epsilon(part)
  if promised is not None:
    axes.axvline(
      promised,
      color=style.DISTINCT[4],
      linewidth=2,
      label=f'accounted: {promised:.3g}',
    )
  axes.set_xscale('symlog', linthresh=1.0)
  axes.xaxis.set_major_formatter(
    matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}')
  )
  axes.set_xlim(left=0)
  axes.set_yticks(range(len(names)), [_shown(name) for name in names])
  axes.set_ylim(len(names) - 0.4, -0.6)
  axes.grid(False, axis='y')
  axes.set_xlabel('epsilon')
  axes.set_title(_title(part))


def _place(key: str) -> int:
  return [each[0] for each in BOUNDS].index(key)


def _title(part: Mapping[str, Any]) -> str:
  promised = epsilon(part)
  said = f'proven: epsilon is {part["proven"]:.3g} or more'
  if promised is not None and part['proven'] > promised:
    return f'{said}, more than was promised'
  return said


def _said(part: Mapping[str, Any]) -> str:
  found = [_CAPTION]
  if part['planted_bug'] != 'none':
    found.insert(0, f'With a bug that was planted: {part["planted_bug"]}.')
  promised = epsilon(part)
  if promised is None:
    found.insert(0, 'No finite epsilon is accounted for this run.')
  return ' '.join(found)


def _draw_scores(
  axes: Any, name: str, score: Mapping[str, Any], *, has_labels: bool
) -> None:
  axes.set_title(f'{_shown(name)}: AUC {score["auroc"]:.3f}', fontsize=10)
  sides: tuple[Any, Any] = score.get('scores_in'), score.get('scores_out')
  if None in sides:
    axes.set_axis_off()
    axes.text(
      0.02,
      0.8,
      'audit.json has no scores:\nan earlier version wrote it',
      transform=axes.transAxes,
      va='top',
      fontsize=10,
    )
    return
  bins = np.histogram_bin_edges(np.concatenate(sides), 30)
  for values, label, color in (
    (sides[1], 'left out', style.INK),
    (sides[0], 'trained on', style.BLUE),
  ):
    axes.hist(
      values,
      bins,
      color=color,
      alpha=0.6,
      label=label,
      weights=np.full(len(values), 1 / len(values)),
    )
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.tick_params(labelsize=9)
  if has_labels:
    axes.set_ylabel('canaries', fontsize=10)
    axes.legend(fontsize=9)


def _shown(name: str) -> str:
  return name.replace('_', ' ')
