"""By how much noise: what it costs, what it promises, what attacks reach.

A panel for each, above one another on one axis of noise, so that a reader goes
down a column and has all that speaks for this much noise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import run_error
from fedjax_asr.figures import (
  decision_points,
  intervals,
  leakage,
  recovered_axis,
  style,
)

_SCORES = ('lira', 'rmia', 'loss_per_label', 'loss')
_SCORE_NAMES = {
  'lira': 'LiRA',
  'rmia': 'RMIA',
  'loss_per_label': 'loss per label',
  'loss': 'loss',
}
_CAPTION = (
  'Noise multipliers in order, not to scale. Bars: of several seeds the 95% '
  "interval of their mean (Student's t), of one what audit and attack give; of "
  'a single WER or accounted epsilon none is known. Of PLD and RDP the lower '
  'epsilon. Dotted across: chance.'
)
# Of a mean, where lines of one panel would lie on each other.
_APART = 0.07


class _Series(NamedTuple):
  """key: of `decision_points.Point.values`."""

  key: str
  label: str


class _Panel(NamedTuple):
  title: str
  series: Sequence[_Series]
  finish: Callable[[Any], None]
  chance: float | None = None
  reason: str = ''


class _Mean(NamedTuple):
  """At a place; low and high are the middle where there is no interval."""

  place: int
  middle: float
  low: float
  high: float


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
  panels = _panels(points)
  heights = [1.0 if _has(panel, points) else 0.45 for panel in panels]
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
      _draw(axes, panel, points, noises)
    _finish(drawn, points, noises)
    leakage.caption(figure, f'{_CAPTION} {_seeds(points)} {note}'.strip())
    return figure


def _panels(points: Sequence[decision_points.Point]) -> list[_Panel]:
  rate = _percent
  return [
    _Panel(
      'word error rate, held-out speakers',
      [_Series('wer', 'WER')],
      rate,
      reason='no WER',
    ),
    _Panel(
      'epsilon',
      [
        _Series('epsilon', 'accounted, of this population'),
        _Series('extrapolated_epsilon', 'accounted, extrapolated population'),
        _Series('proven', 'proven by canaries, at least'),
        _Series('estimated', 'estimate by canaries'),
        *_bugs(points),
      ],
      _log,
      reason='no finite epsilon and no canaries',
    ),
    _Panel(
      'membership, AUC',
      _memberships(points, 'auc'),
      rate,
      0.5,
      reason='no part membership of an audit',
    ),
    _Panel(
      'membership, found at 1% false positives',
      _memberships(points, 'tpr'),
      rate,
      0.01,
      reason='no part membership of an audit with 100 non-members or more',
    ),
    _Panel(
      'two updates of one speaker: equal error rate',
      [
        _Series('eer/update', 'by updates'),
        _Series('eer/speech', 'by the speech itself (not seen)'),
      ],
      rate,
      0.5,
      reason='no part speakers of an audit',
    ),
    _Panel(
      'reconstruction of speech: SNR (dB)',
      [_Series('snr', 'median utterance')],
      _snr,
      reason='no attack',
    ),
  ]


def _bugs(points: Sequence[decision_points.Point]) -> list[_Series]:
  keys = {key for point in points for key in point.values}
  return [
    _Series(
      key, f'proven with a bug: {key.partition("/")[2].replace("_", " ")}'
    )
    for key in sorted(keys)
    if key.startswith('bug/')
  ]


def _memberships(
  points: Sequence[decision_points.Point], of: str
) -> list[_Series]:
  """By one score each, the same at all points: the first that most have."""
  found = []
  for kind, whose in (
    ('utterances', 'utterances'),
    ('speakers', 'speakers'),
  ):
    counts = {
      score: sum(f'{of}/{kind}/{score}' in each.values for each in points)
      for score in _SCORES
    }
    best = max(_SCORES, key=lambda score, counts=counts: counts[score])
    if counts[best]:
      found.append(
        _Series(f'{of}/{kind}/{best}', f'{whose}, by {_SCORE_NAMES[best]}')
      )
  key = f'{of}/updates/same_speaker'
  if any(key in each.values for each in points):
    found.append(_Series(key, "utterances, by a client's update"))
  return found


def _has(panel: _Panel, points: Sequence[decision_points.Point]) -> bool:
  return any(
    each.key in point.values for each in panel.series for point in points
  )


def _draw(
  axes: Any,
  panel: _Panel,
  points: Sequence[decision_points.Point],
  noises: Sequence[float],
) -> None:
  axes.set_title(panel.title, fontsize=11)
  if not _has(panel, points):
    axes.text(
      0.01,
      0.5,
      f'not measured: {panel.reason}',
      transform=axes.transAxes,
      va='center',
      fontsize=10,
    )
    axes.set_yticks([])
    axes.grid(visible=False)
    return
  known = [
    (each, means)
    for each in panel.series
    if (means := _means(points, noises, each.key))
  ]
  for index, (each, means) in enumerate(known):
    shift = _APART * (index - (len(known) - 1) / 2)
    _draw_series(axes, index, each.label, means, shift)
  if panel.chance is not None:
    axes.axhline(panel.chance, color=style.INK, linestyle=':', linewidth=1.6)
  panel.finish(axes)
  if len(known) > 1 or panel.chance is not None:
    axes.legend(
      fontsize=9, loc='center left', bbox_to_anchor=(1.0, 0.5), handlelength=3
    )


def _draw_series(
  axes: Any, index: int, label: str, means: Sequence[_Mean], shift: float
) -> None:
  look = style.line(index)
  places = [each.place + shift for each in means]
  axes.plot(
    places,
    [each.middle for each in means],
    color=look['color'],
    linestyle=look['linestyle'],
    marker=look['marker'],
    markersize=6,
    label=label,
  )
  for place, each in zip(places, means, strict=True):
    axes.vlines(
      place, each.low, each.high, color=look['color'], linewidth=4, alpha=0.4
    )


def _means(
  points: Sequence[decision_points.Point], noises: Sequence[float], key: str
) -> list[_Mean]:
  found = []
  for place, noise in enumerate(noises):
    values = [
      point.values[key]
      for point in points
      if point.noise == noise and key in point.values
    ]
    if values:
      found.append(_mean(place, values, key))
  return found


def _mean(
  place: int, values: Sequence[decision_points.Value], key: str
) -> _Mean:
  """Of seeds; of one, with its own interval."""
  if key == 'snr':
    return _median_of_snr(place, values)
  numbers = np.array([each.value for each in values], np.float64)
  middle = float(numbers.mean())
  if len(values) > 1:
    spread = float(intervals.mean_spread(numbers[:, None])[0])
    return _Mean(place, middle, middle - spread, middle + spread)
  low, high = values[0].interval or (None, None)
  return _Mean(
    place,
    middle,
    middle if low is None else low,
    middle if high is None else high,
  )


def _median_of_snr(
  place: int, values: Sequence[decision_points.Value]
) -> _Mean:
  """On the axis of `recovered_axis`, on which "nothing" is a place.

  Of several seeds the median and the range, because nothing has no mean.
  """

  def height(value: float | None) -> float:
    is_known = value is not None and math.isfinite(value)
    return recovered_axis.height(value if is_known else None)

  heights = sorted(height(each.value) for each in values)
  middle = float(np.median(heights))
  if len(values) > 1:
    return _Mean(place, middle, heights[0], heights[-1])
  low, high = values[0].interval or (values[0].value, values[0].value)
  return _Mean(
    place, middle, min(height(low), middle), max(height(high), middle)
  )


def _percent(axes: Any) -> None:
  axes.yaxis.set_major_formatter(
    matplotlib.ticker.FuncFormatter(lambda value, _: f'{100 * value:g}%')
  )
  axes.set_ylim(0, max(1.05 * min(axes.get_ylim()[1], 1.0), 0.1))


def _log(axes: Any) -> None:
  """From 0 on: what canaries prove may be nothing."""
  axes.set_yscale('symlog', linthresh=0.1)
  axes.yaxis.set_major_formatter(
    matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}')
  )
  axes.set_ylim(-0.02)


def _snr(axes: Any) -> None:
  top = max(axes.get_ylim()[1], 20.0)
  ticks = np.arange(0, top + 1, 20 if top < 70 else 40)
  axes.set_ylim(1.6 * recovered_axis.NOTHING_DB, 1.1 * top)
  axes.set_yticks(
    [recovered_axis.NOTHING_DB, *ticks],
    ['nothing', *(f'{each:.0f}' for each in ticks)],
  )


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
