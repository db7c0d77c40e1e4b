"""Loss, error rates, norms, learning rates and speed over the rounds of runs.

Of one run, or of several; those that differ in their seed alone are one line,
their mean, with a band from the lowest to the highest.
"""

import pathlib
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.ticker
import numpy as np
from jaxtyping import Float64

from fedjax_asr import run_error
from fedjax_asr.figures import drawn_run, style

_Values = Float64[np.ndarray, '_']


class Look(NamedTuple):
  """Colour, dashes, marker and width: where lines coincide, each is seen beside
  those that are drawn on top of it."""

  color: str
  dashes: Any
  marker: str
  width: float


_SPEAKERS = Look(style.BLUE, '-', 'o', 4.0)
_UTTERANCES = Look(style.ORANGE, '-', 's', 1.8)
_DOTS = (0, (2, 1.5))
_BAND_ROUNDS = 3
# Metric, label, look.
_RATES = (
  ('eval/wer', 'WER, held-out speakers', _SPEAKERS),
  ('eval/utterance_wer', 'WER, held-out utterances', _UTTERANCES),
  ('eval/cer', 'CER, held-out speakers', _SPEAKERS._replace(dashes=_DOTS)),
  (
    'eval/utterance_cer',
    'CER, held-out utterances',
    _UTTERANCES._replace(dashes=_DOTS),
  ),
)
_NORMS = (
  ('train/gradient_norm', 'gradient of a client', style.BLUE),
  ('train/delta_norm', 'mean update', style.ORANGE),
)


def plot(run_path: pathlib.Path) -> pathlib.Path:
  """Draws `figures/training_progress.png` of a run and returns its path.

  Raises:
    RunError: the metrics are missing, empty or damaged, or the figure cannot be
      written.
  """
  run = drawn_run.DrawnRun(run_path)
  try:
    figure = draw(run)
  except drawn_run.Missing as missing:
    raise run_error.RunError(f'{run_path}: {missing}') from missing
  return style.save(figure, run.files.training_figure)


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """A series is drawn from the rounds that have a value for it.

  Raises:
    Missing: there is no round.
  """
  records = run.metrics
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 8.5), layout='constrained'
    )
    panels = figure.subplots(3, 2, sharex=True)
    for axes in panels.flat:
      _mark_starts(axes, records, has_label=axes is panels[0, 1])
    _plot_loss(panels[0, 0], records)
    lines = _plot_rates(panels[0, 1], records)
    _plot_norms(panels[1, 0], records)
    _plot_learning_rates(panels[1, 1], records)
    _plot_speed(panels[2, 0], records)
    _plot_waste(panels[2, 1], records)
    for axes in panels[-1]:
      axes.set_xlabel('round')
    # Of all panels, which share it.
    style.count_along(panels[0, 0], records[0]['round'], records[-1]['round'])
    # Below, where no line runs through it.
    figure.legend(*lines, loc='outside lower left', ncols=2, handlelength=3.5)
    return figure


def _plot_loss(axes: Any, records: list[dict[str, Any]]) -> None:
  rounds, losses = drawn_run.series(records, 'train/loss')
  if len(rounds):
    centers, mean = _smooth(rounds, losses)
    label = 'training clients'
    if len(centers) < len(rounds):
      axes.plot(rounds, losses, color=style.GREEN, alpha=0.45, linewidth=0.8)
      label += f', mean of {len(rounds) - len(centers) + 1} rounds'
    axes.plot(centers, mean, color=style.GREEN, label=label)
  rounds, losses = drawn_run.series(records, 'eval/loss')
  if len(rounds):
    axes.plot(rounds, losses, 'o-', color=style.BLUE, label='held-out speakers')
  _log(axes)
  _finish(axes, 'CTC loss (nats per utterance)')


def _plot_rates(axes: Any, records: list[dict[str, Any]]) -> tuple[list, list]:
  """What a legend of the panel needs."""
  highest = 1.0
  for name, label, look in _RATES:
    rounds, rates = drawn_run.series(records, name)
    if len(rounds):
      highest = max(highest, rates.max())
      axes.plot(
        rounds,
        rates,
        label=f'{label}: {rates[-1]:.1%}',
        color=look.color,
        linestyle=look.dashes,
        linewidth=look.width,
        marker=look.marker,
        markersize=2 * look.width,
      )
  _mark_best(axes, records)
  axes.set_ylim(0, 1.03 * highest)
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  lines = axes.get_legend_handles_labels()
  _finish(axes, 'error rate (the last below)', has_legend=False)
  return lines


def _mark_best(axes: Any, records: list[dict[str, Any]]) -> None:
  """The round that the checkpoint `best` is of."""
  rounds, rates = drawn_run.series(records, 'eval/wer')
  if not len(rounds):
    return
  best = int(np.argmin(rates))
  axes.plot(
    rounds[best],
    rates[best],
    '*',
    color=style.DISTINCT[4],
    markersize=14,
    label=f'lowest WER: {rates[best]:.1%}, round {rounds[best]:.0f}',
    zorder=5,
  )


def _plot_norms(axes: Any, records: list[dict[str, Any]]) -> None:
  for name, label, color in _NORMS:
    rounds, values = drawn_run.series(records, name)
    if not len(rounds):
      continue
    centers, low, middle, high = _band(rounds, values)
    axes.fill_between(centers, low, high, color=color, alpha=0.25, linewidth=0)
    axes.plot(centers, middle, color=color, label=label)
  _log(axes)
  _finish(axes, 'norms (median, and 10% to 90% nearby)')


def _plot_learning_rates(axes: Any, records: list[dict[str, Any]]) -> None:
  for name, label, color in (
    ('learning_rate', 'client', style.BLUE),
    ('server_learning_rate', 'server', style.ORANGE),
  ):
    rounds, values = drawn_run.series(records, name)
    if len(rounds):
      axes.plot(rounds, values, color=color, label=label)
  _log(axes)
  _finish(axes, 'learning rates')


def _plot_speed(axes: Any, records: list[dict[str, Any]]) -> None:
  rounds, clients = drawn_run.series(records, 'clients_per_second')
  if len(rounds):
    axes.plot(rounds, clients, color=style.BLUE, label='clients a second')
  rounds, times = drawn_run.series(records, 'times_real_time')
  if len(rounds):
    # Seconds of speech in a second are hours in an hour.
    axes.plot(
      rounds, times / 60, color=style.ORANGE, label='minutes of speech a second'
    )
  _log(axes)
  _finish(axes, 'speed')


def _plot_waste(axes: Any, records: list[dict[str, Any]]) -> None:
  rounds, waste = drawn_run.series(records, 'padding_waste')
  if len(rounds):
    axes.plot(rounds, waste, color=style.GREEN, label='padding')
  axes.set_ylim(0, 1)
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  _finish(axes, 'of the frames computed')


def _mark_starts(
  axes: Any, records: list[dict[str, Any]], *, has_label: bool
) -> None:
  """Rounds before which a run was resumed: there it was compiled again."""
  rounds, _ = drawn_run.series(records, 'compile_seconds')
  for number, index in enumerate(rounds[1:]):
    axes.axvline(
      index - 0.5,
      color=style.INK,
      linestyle=':',
      linewidth=1.2,
      zorder=1,
      label='resumed' if has_label and not number else None,
    )


def _smooth(rounds: _Values, values: _Values) -> tuple[_Values, _Values]:
  """The mean of a twentieth of the rounds, at their middle."""
  box = np.full(_window(values), 1 / _window(values))
  centers = np.convolve(rounds, box, 'valid')
  return centers, np.convolve(values, box, 'valid')


def _band(
  rounds: _Values, values: _Values
) -> tuple[_Values, _Values, _Values, _Values]:
  """Rounds, 10%, median and 90% of the rounds about each: a twentieth of all,
  or a few."""
  # Of few rounds, a band of one each would be no band.
  size = max(_window(values), min(_BAND_ROUNDS, len(values)))
  near = np.lib.stride_tricks.sliding_window_view(values, size)
  centers = np.convolve(rounds, np.full(size, 1 / size), 'valid')
  low, middle, high = np.quantile(near, (0.1, 0.5, 0.9), axis=1)
  return centers, low, middle, high


def _window(values: _Values) -> int:
  return max(1, len(values) // 20)


def _log(axes: Any) -> None:
  """Where something is above zero to be drawn."""
  drawn = [line.get_ydata() for line in axes.get_lines()]
  if any(np.any(np.asarray(each) > 0) for each in drawn):
    axes.set_yscale('log')
    axes.yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5)))
    for which in (
      axes.yaxis.set_major_formatter,
      axes.yaxis.set_minor_formatter,
    ):
      which(matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}'))


def _finish(axes: Any, title: str, *, has_legend: bool = True) -> None:
  axes.set_title(title)
  for line in axes.get_lines():
    # A line of one point is none.
    if len(line.get_xdata()) == 1 and line.get_marker() in ('', 'None'):
      line.set_marker('o')
  handles, labels = axes.get_legend_handles_labels()
  if not handles:
    axes.text(0.5, 0.5, 'no values yet', transform=axes.transAxes, ha='center')
  elif has_legend:
    axes.legend(handles, labels)
