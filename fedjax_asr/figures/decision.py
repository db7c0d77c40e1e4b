"""By how much noise: what it costs, what it promises, what attacks reach.

A panel for each, above one another on one axis of noise, so that a reader goes
down a column and has all that speaks for this much noise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.figure

from fedjax_asr import run_error
from fedjax_asr.figures import (
  audit_panels,
  decision_points,
  leakage,
  recovered_axis,
  style,
)

_CAPTION = f'Noise multipliers in order, not to scale. {audit_panels.EXPLAINED}'
# Of a mean, where lines of one panel would lie on each other.
_APART = 0.07


def draw(
  rows: Sequence[Mapping[str, Any]], note: str = ''
) -> matplotlib.figure.Figure:
  """Of plain records, as `decision_points` describes them.

  What no point has is said in its panel; `note`, under all of them.

  Raises:
    RunError: there is no point, or one is of another form.
  """
  points = decision_points.points(rows)
  if not points:
    raise run_error.RunError('there is no point to draw; want one or more.')
  noises = sorted({point.noise for point in points})
  measured = [point.values for point in points]
  panels = audit_panels.panels(measured)
  heights = audit_panels.heights(panels, measured)
  placed = [(noises.index(point.noise), point.values) for point in points]
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(
        max(1.7 * style.WIDTH, 0.95 * len(noises) + 3.4),
        1.85 * sum(heights) + 2.2,
      ),
      layout='constrained',
    )
    drawn = figure.subplots(
      len(panels), 1, sharex=True, gridspec_kw={'height_ratios': heights}
    ).tolist()
    for axes, panel in zip(drawn, panels, strict=True):
      audit_panels.draw(axes, panel, _curves(panel, placed), _APART)
    _finish(drawn, points, noises)
    leakage.caption(figure, f'{_CAPTION} {_seeds(points)} {note}'.strip())
    return figure


def _curves(
  panel: audit_panels.Panel,
  placed: Sequence[tuple[float, audit_panels.Values]],
) -> list[audit_panels.Curve]:
  """Of the series that have anything."""
  known = [
    (each.label, marks)
    for each in panel.series
    if (marks := audit_panels.marks(placed, each.key))
  ]
  return [
    audit_panels.Curve(label, marks, style.line(index))
    for index, (label, marks) in enumerate(known)
  ]


def _finish(
  drawn: Sequence[Any],
  points: Sequence[decision_points.Point],
  noises: Sequence[float],
) -> None:
  """Noise below; above, the epsilon that it means for the population."""
  bottom, top = drawn[-1], drawn[0]
  bottom.set_xticks(
    range(len(noises)),
    ['none' if not noise else f'{noise:.3g}' for noise in noises],
  )
  bottom.set_xlim(-0.4, len(noises) - 0.6)
  bottom.set_xlabel("multiplier of the server's noise")
  for axes in drawn:
    axes.tick_params(axis='y', labelsize=10)
  told = [_extrapolated(points, noise) for noise in noises]
  if any(told):
    second = top.secondary_xaxis('top')
    second.set_xticks(
      range(len(noises)), [each or '\u2013' for each in told], fontsize=10
    )
    second.spines['top'].set_visible(False)
    second.tick_params(length=0)
    second.set_xlabel(
      f'epsilon of the extrapolated population{_delta(points)}', fontsize=10
    )


def _extrapolated(points: Sequence[decision_points.Point], noise: float) -> str:
  """Of accounting alone, so the same for all seeds."""
  for point in points:
    found = point.values.get('extrapolated_epsilon')
    if point.noise == noise and found is not None:
      return f'{found.value:.3g}'
  return ''


def _delta(points: Sequence[decision_points.Point]) -> str:
  deltas = {point.delta for point in points if point.delta is not None}
  return f' (delta {deltas.pop():g})' if len(deltas) == 1 else ''


def _seeds(points: Sequence[decision_points.Point]) -> str:
  counts: dict[float, int] = {}
  for point in points:
    counts[point.noise] = counts.get(point.noise, 0) + 1
  least, most = min(counts.values()), max(counts.values())
  said = f'{most}' if least == most else f'{least} to {most}'
  failed = [
    f'{name.replace("_", " ")} at noise {point.noise:.3g}'
    for point in points
    for name in point.errors
  ]
  told = f' Did not finish: {", ".join(failed)}.' if failed else ''
  return f'Runs at each noise: {said}; {recovered_axis.EXPLAINED}.{told}'
