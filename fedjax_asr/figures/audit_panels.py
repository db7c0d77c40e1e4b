"""Panels above one another, of what speaks for a defence and against it.

What decides over noise (`decision`) and over rounds (`audited_rounds`): words,
epsilon, membership, speakers, reconstruction, on one axis.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.ticker
import numpy as np

from fedjax_asr.figures import intervals, measured_values, recovered_axis, style

# Of membership, what is drawn first.
SCORES = ('lira', 'rmia', 'loss_per_label', 'loss')
_SCORE_NAMES = {
  'lira': 'LiRA',
  'rmia': 'RMIA',
  'loss_per_label': 'loss per label',
  'loss': 'loss',
}
# Of a panel in which nothing was measured, over that of one with something.
_LOW = 0.45
# Epsilons of which the least would be no height beside the largest.
_FAR_APART = 30
EXPLAINED = (
  "Bars: of several seeds the 95% interval of their mean (Student's t), of one "
  'what audit and attack give; of a single WER or accounted epsilon none is '
  'known. Of PLD and RDP the lower epsilon. Dotted across: chance.'
)

Values = Mapping[str, measured_values.Value]


class Series(NamedTuple):
  """key: of `measured_values`."""

  key: str
  label: str


class Panel(NamedTuple):
  """finish: sets the axis of what is measured; reason: why it may not be."""

  title: str
  series: Sequence[Series]
  finish: Callable[[Any], None]
  chance: float | None = None
  reason: str = ''


class Mark(NamedTuple):
  """At a place; low and high are the middle where there is no interval."""

  place: float
  middle: float
  low: float
  high: float


class Curve(NamedTuple):
  """look: what `style.line` gives."""

  label: str
  marks: Sequence[Mark]
  look: Mapping[str, Any]


def panels(
  measured: Sequence[Values], scores: Sequence[str] = SCORES
) -> list[Panel]:
  """Of all that was measured, whichever of it there is.

  scores: of membership, of which the first that most have is drawn.
  """
  return [
    Panel(
      'word error rate, held-out speakers',
      [Series('wer', 'WER')],
      percent,
      reason='no WER',
    ),
    Panel(
      'epsilon',
      [
        Series('epsilon', 'accounted, of this population'),
        Series('extrapolated_epsilon', 'accounted, extrapolated population'),
        Series('proven', 'proven by canaries, at least'),
        Series('estimated', 'estimate by canaries'),
        *_bugs(measured),
      ],
      _epsilon,
      reason='no finite epsilon and no canaries',
    ),
    Panel(
      'membership, AUC',
      _memberships(measured, 'auc', scores),
      percent,
      0.5,
      reason='no part membership of an audit',
    ),
    Panel(
      'membership, found at 1% false positives',
      _memberships(measured, 'tpr', scores),
      percent,
      0.01,
      reason='no part membership of an audit with 100 non-members or more',
    ),
    Panel(
      'two updates of one speaker: equal error rate',
      [
        Series('eer/update', 'by updates'),
        Series('eer/speech', 'by the speech itself (not seen)'),
      ],
      percent,
      0.5,
      reason='no part speakers of an audit',
    ),
    Panel(
      'reconstruction of speech: SNR (dB)',
      [Series('snr', 'median utterance')],
      _snr,
      reason='no attack',
    ),
  ]


def heights(drawn: Sequence[Panel], measured: Sequence[Values]) -> list[float]:
  """Of each panel, relative."""
  return [1.0 if has(panel, measured) else _LOW for panel in drawn]


def has(panel: Panel, measured: Iterable[Values]) -> bool:
  return any(each.key in values for values in measured for each in panel.series)


def draw(
  axes: Any, panel: Panel, curves: Sequence[Curve], apart: float
) -> None:
  """A panel, or in words that it has nothing.

  apart: how far along x curves are moved that would lie on each other.
  """
  axes.set_title(panel.title, fontsize=11)
  curves = [each for each in curves if each.marks]
  if not curves:
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
  for index, curve in enumerate(curves):
    _draw_curve(axes, curve, apart * (index - (len(curves) - 1) / 2))
  if panel.chance is not None:
    axes.axhline(panel.chance, color=style.INK, linestyle=':', linewidth=1.6)
  panel.finish(axes)
  # One curve of several that there may be says which it is.
  may_be = len(panel.series) > 1 or panel.chance is not None
  if may_be or {each.label for each in curves} != {panel.series[0].label}:
    axes.legend(
      fontsize=9, loc='center left', bbox_to_anchor=(1.0, 0.5), handlelength=3
    )


def marks(placed: Sequence[tuple[float, Values]], key: str) -> list[Mark]:
  """Of one key, place by place; those of one place, as of seeds, are a mean."""
  found: dict[float, list[measured_values.Value]] = {}
  for place, values in placed:
    if key in values:
      found.setdefault(place, []).append(values[key])
  of_place = _median_of_snr if key == 'snr' else _mean
  return [of_place(place, found[place]) for place in sorted(found)]


def percent(axes: Any) -> None:
  axes.yaxis.set_major_formatter(
    matplotlib.ticker.FuncFormatter(lambda value, _: f'{100 * value:g}%')
  )
  axes.set_ylim(0, max(1.05 * min(axes.get_ylim()[1], 1.0), 0.1))


def _bugs(measured: Sequence[Values]) -> list[Series]:
  keys = {key for values in measured for key in values}
  return [
    Series(key, f'proven with a bug: {key.partition("/")[2].replace("_", " ")}')
    for key in sorted(keys)
    if key.startswith('bug/')
  ]


def _memberships(
  measured: Sequence[Values], of: str, scores: Sequence[str]
) -> list[Series]:
  """By one score each, the same everywhere."""
  found = []
  for kind in ('utterances', 'speakers'):
    counts = {
      score: sum(f'{of}/{kind}/{score}' in values for values in measured)
      for score in scores
    }
    best = max(scores, key=lambda score, counts=counts: counts[score])
    if counts[best]:
      found.append(
        Series(f'{of}/{kind}/{best}', f'{kind}, by {_SCORE_NAMES[best]}')
      )
  key = f'{of}/updates/same_speaker'
  if any(key in values for values in measured):
    found.append(Series(key, "utterances, by a client's update"))
  return found


def _draw_curve(axes: Any, curve: Curve, shift: float) -> None:
  look = curve.look
  places = [each.place + shift for each in curve.marks]
  axes.plot(
    places,
    [each.middle for each in curve.marks],
    color=look['color'],
    linestyle=look['linestyle'],
    marker=look['marker'],
    markersize=6,
    label=curve.label,
  )
  for place, each in zip(places, curve.marks, strict=True):
    axes.vlines(
      place, each.low, each.high, color=look['color'], linewidth=4, alpha=0.4
    )


def _mean(place: float, values: Sequence[measured_values.Value]) -> Mark:
  """Of seeds; of one, with its own interval."""
  numbers = np.array([each.value for each in values], np.float64)
  middle = float(numbers.mean())
  if len(values) > 1:
    spread = float(intervals.mean_spread(numbers[:, None])[0])
    return Mark(place, middle, middle - spread, middle + spread)
  low, high = values[0].interval or (None, None)
  return Mark(
    place,
    middle,
    middle if low is None else low,
    middle if high is None else high,
  )


def _median_of_snr(
  place: float, values: Sequence[measured_values.Value]
) -> Mark:
  """On the axis of `recovered_axis`, on which "nothing" is a place.

  Of several seeds the median and the range, because nothing has no mean.
  """

  def height(value: float | None) -> float:
    is_known = value is not None and math.isfinite(value)
    return recovered_axis.height(value if is_known else None)

  heights = sorted(height(each.value) for each in values)
  middle = float(np.median(heights))
  if len(values) > 1:
    return Mark(place, middle, heights[0], heights[-1])
  low, high = values[0].interval or (values[0].value, values[0].value)
  return Mark(
    place, middle, min(height(low), middle), max(height(high), middle)
  )


def _epsilon(axes: Any) -> None:
  """From 0 on: what canaries prove may be nothing. Of logarithms where values
  are far apart."""
  known = np.concatenate([each.get_ydata() for each in axes.lines])
  known = known[known > 0]
  if len(known) and known.max() > _FAR_APART * known.min():
    axes.set_yscale('symlog', linthresh=0.1)
    axes.set_ylim(-0.02)
  else:
    axes.set_ylim(0, 1.1 * known.max(initial=0.1))
  axes.yaxis.set_major_formatter(
    matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}')
  )


def _snr(axes: Any) -> None:
  top = max(axes.get_ylim()[1], 20.0)
  ticks = np.arange(0, top + 1, 20 if top < 70 else 40)
  axes.set_ylim(1.6 * recovered_axis.NOTHING_DB, 1.1 * top)
  axes.set_yticks(
    [recovered_axis.NOTHING_DB, *ticks],
    ['nothing', *(f'{each:.0f}' for each in ticks)],
  )
