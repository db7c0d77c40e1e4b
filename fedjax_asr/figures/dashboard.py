"""One page of a run: how well, how fast, and where it fails."""

from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np
from jaxtyping import Float64

from fedjax_asr.decoding import scores
from fedjax_asr.figures import drawn_run, style

_WORST = 10
# Of what was said, and of what was heard.
_TEXT_INCHES = 4.0
_HEADLINE_COLUMNS = 6
_PARTS = (
  ('waiting_seconds', 'waiting for a cohort'),
  ('computing_seconds', 'computing'),
  ('evaluation_seconds', 'evaluation'),
  ('checkpoint_seconds', 'saving'),
  ('compile_seconds', 'compiling'),
)


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """Headline numbers, where the time went, how loss and errors fell, WER by
  speaker, how evenly errors are spread over speakers, and the worst utterances.

  Raises:
    Missing: there is no round.
  """
  records = run.metrics
  try:
    heard, missing = run.transcripts, ''
  except drawn_run.Missing as reason:
    heard, missing = [], str(reason)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 13.0), layout='constrained'
    )
    grid = figure.add_gridspec(5, 2, height_ratios=(0.9, 0.7, 1.5, 1.5, 2.0))
    _draw_headline(figure.add_subplot(grid[0, :]), run, records)
    _draw_split(figure.add_subplot(grid[1, :]), records)
    panels = [figure.add_subplot(grid[2, column]) for column in (0, 1)]
    _draw_fall(panels[0], records, 'train/loss', 'loss of training clients')
    _draw_fall(panels[1], records, 'eval/wer', 'WER, held out')
    panels[1].yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    panels = [figure.add_subplot(grid[3, column]) for column in (0, 1)]
    has_words = _has_words(run)
    _draw_speakers(panels[0], heard, has_words)
    _draw_lorenz(panels[1], heard, has_words)
    _draw_worst(figure.add_subplot(grid[4, :]), heard, has_words, missing)
    return figure


def _has_words(run: drawn_run.DrawnRun) -> bool:
  try:
    return run.alphabet.has_words
  except drawn_run.Missing:
    return True


def headline(
  run: drawn_run.DrawnRun, records: list[dict[str, Any]]
) -> list[tuple[str, str]]:
  """What is read first: names and values."""
  found = [('rounds', f'{records[-1]["round"]:,}')]
  for name, label in (('eval/wer', 'WER'), ('eval/cer', 'CER')):
    _, values = drawn_run.series(records, name)
    if len(values):
      found.append((f'{label}, last', f'{values[-1]:.1%}'))
      if name == 'eval/wer':
        found.append((f'{label}, lowest', f'{values.min():.1%}'))
  _, clients = drawn_run.series(records, 'clients_per_second')
  if len(clients):
    found.append(('clients a second', f'{np.median(clients):.3g}'))
  _, times = drawn_run.series(records, 'times_real_time')
  if len(times):
    found.append(('times real time', f'{np.median(times):,.0f}'))
  _, compiling = drawn_run.series(records, 'compile_seconds')
  if len(compiling):
    found.append(('compiling, in all', duration(compiling.sum())))
  for name, label in (
    ('memory/device_peak_gb', 'device memory'),
    ('memory/host_peak_gb', 'host memory'),
  ):
    _, peaks = drawn_run.series(records, name)
    found.append((label, f'{peaks.max():.2g} GB' if len(peaks) else 'not told'))
  return [*found, *_machine(run)]


def _machine(run: drawn_run.DrawnRun) -> list[tuple[str, str]]:
  try:
    last = run.versions[-1]
    devices = last['devices']
    return [('on', f'{len(devices)} {devices[0]}')]
  except (drawn_run.Missing, IndexError, KeyError, TypeError):
    return []


def _draw_headline(
  axes: Any, run: drawn_run.DrawnRun, records: list[dict[str, Any]]
) -> None:
  axes.set_axis_off()
  axes.set_title(style.fitted(run.name, 2 * style.WIDTH - 0.7, 12))
  numbers = headline(run, records)
  for index, (name, value) in enumerate(numbers):
    row, column = divmod(index, _HEADLINE_COLUMNS)
    x, y = (column + 0.5) / _HEADLINE_COLUMNS, 0.72 - 0.52 * row
    style_of = {'ha': 'center', 'transform': axes.transAxes}
    axes.text(x, y, value, fontsize=15, color=style.BLUE, **style_of)
    axes.text(x, y - 0.17, name, fontsize=9, **style_of)


def split(records: list[dict[str, Any]]) -> dict[str, float]:
  """Seconds of each part of the whole run, of those that it has."""
  parts = dict(_PARTS)
  if not any('computing_seconds' in each for each in records):
    # Of a run of before these were told apart.
    parts['round_seconds'] = 'rounds'
  sums = {
    label: float(drawn_run.series(records, name)[1].sum())
    for name, label in parts.items()
  }
  return {label: seconds for label, seconds in sums.items() if seconds}


def _draw_split(axes: Any, records: list[dict[str, Any]]) -> None:
  parts = split(records)
  total = sum(parts.values())
  axes.set_title(f'where {duration(total)} went' if parts else 'time')
  axes.set_yticks([])
  axes.grid(visible=False)
  if not parts:
    axes.text(0.5, 0.5, 'not told', transform=axes.transAxes, ha='center')
    return
  left = 0.0
  for index, (label, seconds) in enumerate(parts.items()):
    axes.barh(
      0,
      seconds / total,
      left=left,
      color=style.DISTINCT[index],
      label=f'{label}: {seconds / total:.0%}',
    )
    left += seconds / total
  axes.set_xlim(0, 1)
  axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.legend(
    loc='upper center', bbox_to_anchor=(0.5, -0.35), ncols=5, fontsize=9
  )


def duration(seconds: float) -> str:
  """Rounded, in the unit that suits it."""
  if seconds < 120:
    return f'{seconds:.0f} s'
  if seconds < 7200:
    return f'{seconds / 60:.0f} min'
  return f'{seconds / 3600:.1f} h'


def _draw_fall(
  axes: Any, records: list[dict[str, Any]], name: str, title: str
) -> None:
  """A series, and when it had come down by nine tenths of its whole fall."""
  axes.set_title(title)
  rounds, values = drawn_run.series(records, name)
  if not len(rounds):
    axes.text(0.5, 0.5, 'no values yet', transform=axes.transAxes, ha='center')
    return
  marker = 'o' if len(rounds) < 30 else ''
  axes.plot(rounds, values, marker=marker, color=style.BLUE)
  reached = converged(values)
  if reached is not None:
    axes.axvline(rounds[reached], color=style.ORANGE)
    said = f'; 90% of the fall by round {rounds[reached]:,.0f}'
  else:
    said = '; no fall' if len(rounds) > 1 else ''
  axes.set_xlabel(f'round{said}')
  axes.set_ylim(0, 1.05 * max(values.max(), 1e-9))
  style.count_along(axes, float(rounds.min()), float(rounds.max()))


def converged(values: Float64[np.ndarray, ' rounds']) -> int | None:
  """Where a series is first within a tenth of its fall from its lowest.

  None where it never fell.
  """
  fall = values[0] - values.min()
  if fall <= 0:
    return None
  return int(np.argmax(values <= values.min() + 0.1 * fall))


def _draw_speakers(
  axes: Any, heard: list[scores.Transcript], has_words: bool
) -> None:
  axes.set_title('WER by held-out speaker')
  rates = [each.wer for each in _by_speaker(heard, has_words).values()]
  if not rates:
    axes.text(0.5, 0.5, 'none', transform=axes.transAxes, ha='center')
    return
  # From 0 to the next tenth above all.
  top = max(0.1, np.ceil(10 * max(rates)) / 10)
  axes.hist(rates, 20, range=(0, top), color=style.BLUE)
  axes.axvline(float(np.median(rates)), color=style.ORANGE)
  axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
  axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
  axes.set_xlabel(f'WER; median {np.median(rates):.1%}')
  axes.set_ylabel('speakers')


def _by_speaker(
  heard: list[scores.Transcript], has_words: bool
) -> dict[str, scores.Score]:
  return scores.score_speakers(heard, has_words) if heard else {}


def lorenz(
  found: dict[str, scores.Score],
) -> tuple[Float64[np.ndarray, ' points'], float]:
  """Share of all errors that the speakers have with the fewest, from none of
  them to all; and the Gini coefficient (Gini 1912): 0 where all have the same.

  Errors are rates: a speaker with more words does not count for more.
  """
  rates = np.sort([each.wer for each in found.values()])
  total = rates.sum()
  shares = np.append(0, np.cumsum(rates)) / (total or 1)
  even = np.linspace(0, 1, len(shares))
  gini = 1 - 2 * float(np.trapezoid(shares, even)) if total else 0.0
  return shares, gini


def _draw_lorenz(
  axes: Any, heard: list[scores.Transcript], has_words: bool
) -> None:
  axes.set_title('how evenly errors are spread')
  found = _by_speaker(heard, has_words)
  if not found:
    axes.text(0.5, 0.5, 'none', transform=axes.transAxes, ha='center')
    return
  shares, gini = lorenz(found)
  even = np.linspace(0, 1, len(shares))
  axes.plot(even, even, ':', color=style.INK, label='all alike')
  axes.plot(even, shares, color=style.BLUE, label=f'Gini {gini:.2f}')
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.set_xlabel('speakers, the best first')
  axes.set_ylabel('of all errors')
  axes.legend(loc='upper left')


def worst(
  heard: list[scores.Transcript], has_words: bool
) -> list[tuple[float, scores.Transcript]]:
  """Those that need most edits for their length, with their WER."""
  if not heard:
    return []
  counts = scores.errors(heard, has_words)
  rates = counts.words / np.maximum(counts.num_words, 1)
  order = np.lexsort((-counts.num_words, -rates))
  return [(float(rates[index]), heard[index]) for index in order[:_WORST]]


def _draw_worst(
  axes: Any, heard: list[scores.Transcript], has_words: bool, missing: str
) -> None:
  axes.set_axis_off()
  axes.set_title('worst utterances: said, and heard')
  rows = worst(heard, has_words)
  if not rows:
    axes.text(0, 0.9, missing[:120] or 'none', va='top', fontsize=9)
    return
  for index, (rate, each) in enumerate(rows):
    y = 1 - (index + 0.5) / _WORST
    for x, text in (
      (0.0, f'{rate:.0%}'),
      (0.08, style.fitted(each.reference, _TEXT_INCHES, 9)),
      (0.54, style.fitted(each.hypothesis, _TEXT_INCHES, 9) or '(nothing)'),
    ):
      axes.text(x, y, text, va='center', fontsize=9, parse_math=False)
