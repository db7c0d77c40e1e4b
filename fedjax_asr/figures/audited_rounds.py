"""Round by round: what a run has learned, what it spent, what attacks reach.

The panels of `decision` over the rounds of a training, a line for each noise.
"""

from collections.abc import Sequence

import matplotlib.figure

from fedjax_asr import run_error
from fedjax_asr.figures import (
  audit_panels,
  leakage,
  recovered_axis,
  round_points,
  style,
)

_CAPTION = (
  f'{audit_panels.EXPLAINED} Attacked utterances are others in every round; '
  f'{recovered_axis.EXPLAINED}.'
)
_WHOLE = audit_panels.Panel(
  'utterances reconstructed whole',
  [audit_panels.Series('whole', 'share of those attacked')],
  audit_panels.percent,
  reason='no attack that says so',
)
# By the loss, as the audits of rounds are without shadows.
_SCORES = ('lira', 'rmia', 'loss', 'loss_per_label')
# What no training changes is drawn of one of them.
_OF_ALL = ('eer/speech',)
# Of all rounds, between curves that would lie on each other.
_APART = 0.008


def draw(points: Sequence[round_points.Point]) -> matplotlib.figure.Figure:
  """What no point has is said in its panel.

  Raises:
    RunError: there is no point.
  """
  if not points:
    raise run_error.RunError('there is no point to draw; want one or more.')
  measured = [point.values for point in points]
  panels = [*audit_panels.panels(measured, _SCORES), _WHOLE]
  heights = audit_panels.heights(panels, measured)
  rounds = sorted({point.round for point in points})
  span = max(rounds[-1] - rounds[0], 1)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(1.8 * style.WIDTH, 1.75 * sum(heights) + 1.8),
      layout='constrained',
    )
    drawn = figure.subplots(
      len(panels), 1, sharex=True, gridspec_kw={'height_ratios': heights}
    ).tolist()
    for axes, panel in zip(drawn, panels, strict=True):
      curves = _curves(panel, points)
      audit_panels.draw(axes, panel, curves, _APART * span)
      axes.tick_params(axis='y', labelsize=10)
    drawn[-1].set_xticks(rounds)
    drawn[-1].set_xlabel('rounds of training')
    leakage.caption(figure, f'{_CAPTION} {_told(points)}'.strip())
    return figure


def _curves(
  panel: audit_panels.Panel, points: Sequence[round_points.Point]
) -> list[audit_panels.Curve]:
  """Colours are of noises where there are several, else of series."""
  noises = sorted({point.noise for point in points})
  found = []
  for index, series in enumerate(panel.series):
    is_of_all = series.key in _OF_ALL
    for place, noise in enumerate(noises[:1] if is_of_all else noises):
      placed = [
        (float(point.round), point.values)
        for point in points
        if point.noise == noise or is_of_all
      ]
      marks = audit_panels.marks(placed, series.key)
      label, look = series.label, style.line(index)
      if is_of_all:
        look = look | {'color': style.INK}
      elif len(noises) > 1:
        label = f'{label}; {_noise(noise)}'
        look = look | {'color': style.line(place)['color']}
      if marks:
        found.append(audit_panels.Curve(label, marks, look))
  return found


def _noise(multiplier: float) -> str:
  return f'noise {multiplier:.3g}' if multiplier else 'no noise'


def _told(points: Sequence[round_points.Point]) -> str:
  """Noise, delta, seeds, and what failed."""
  noises = sorted({point.noise for point in points})
  said = [f'Noise multiplier: {", ".join(f"{each:.3g}" for each in noises)}']
  deltas = {point.delta for point in points if point.delta is not None}
  if deltas:
    said.append(f'delta {", ".join(f"{each:g}" for each in sorted(deltas))}')
  said.append(f'seeds: {len({point.seed for point in points})}')
  failed = [
    f'{name} at round {point.round}'
    for point in points
    for name in point.errors
  ]
  told = f' Did not finish: {", ".join(failed)}.' if failed else ''
  return f'{"; ".join(said)}.{told}'
