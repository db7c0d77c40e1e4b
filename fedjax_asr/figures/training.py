"""Loss and error rates over the rounds of a run."""

import pathlib
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import run_error, run_files, run_log
from fedjax_asr.figures import style

# Metric, label, colour, dashes, marker, width: where lines coincide, each is
# seen beside those that are drawn on top of it.
_RATES = (
  ('eval/wer', 'WER, held-out speakers', style.BLUE, '-', 'o', 4.0),
  (
    'eval/utterance_wer',
    'WER, held-out utterances',
    style.ORANGE,
    '-',
    's',
    1.8,
  ),
  ('eval/cer', 'CER, held-out speakers', style.BLUE, (0, (2, 1.5)), 'o', 4.0),
  (
    'eval/utterance_cer',
    'CER, held-out utterances',
    style.ORANGE,
    (0, (2, 1.5)),
    's',
    1.8,
  ),
)


def plot(run_path: pathlib.Path) -> pathlib.Path:
  """Draws `figures/training_progress.png` of a run and returns its path.

  Reads `metrics.jsonl` and nothing else. A series is drawn from the rounds
  that have a value for it.

  Raises:
    RunError: the metrics are missing, empty or damaged.
  """
  files = run_files.RunFiles(run_path)
  records = run_log.read_metrics(files.metrics)
  if not records:
    raise run_error.RunError(
      f'{files.metrics} is empty; want the metrics of one round or more.'
    )
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(style.WIDTH, 7.4), layout='constrained'
    )
    loss_axes, rate_axes = figure.subplots(2, 1, sharex=True)
    _plot_loss(loss_axes, records)
    _plot_rates(rate_axes, records)
    rate_axes.set_xlabel('round')
    loss_axes.legend(*loss_axes.get_legend_handles_labels())
    # Below, where no line runs through it.
    lines, labels = rate_axes.get_legend_handles_labels()
    figure.legend(lines, labels, loc='outside lower left')
    return style.save(figure, files.training_figure)


def _plot_loss(axes: Any, records: list[dict[str, Any]]) -> None:
  rounds, losses = _series(records, 'train/loss')
  if len(rounds):
    window = max(1, len(losses) // 20)
    box = np.full(window, 1 / window)
    centers = np.convolve(rounds, box, 'valid')
    mean = np.convolve(losses, box, 'valid')
    label = 'training clients'
    if window > 1:
      axes.plot(rounds, losses, color=style.GREEN, alpha=0.45, linewidth=0.8)
      label += f', mean of {window} rounds'
    axes.plot(centers, mean, color=style.GREEN, label=label)
  rounds, losses = _series(records, 'eval/loss')
  if len(rounds):
    axes.plot(rounds, losses, 'o-', color=style.BLUE, label='held-out speakers')
  _finish(axes, 'CTC loss (nats per utterance)')


def _plot_rates(axes: Any, records: list[dict[str, Any]]) -> None:
  highest = 1.0
  for name, label, color, dashes, marker, width in _RATES:
    rounds, rates = _series(records, name)
    if len(rounds):
      highest = max(highest, rates.max())
      axes.plot(
        rounds,
        rates,
        label=f'{label}: {rates[-1]:.1%}',
        color=color,
        linestyle=dashes,
        linewidth=width,
        marker=marker,
        markersize=2 * width,
      )
  axes.set_ylim(0, 1.03 * highest)
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  _finish(axes, 'error rate (the last below)')


def _finish(axes: Any, title: str) -> None:
  axes.set_title(title)
  axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
  if not axes.get_legend_handles_labels()[0]:
    axes.text(0.5, 0.5, 'no values yet', transform=axes.transAxes, ha='center')


def _series(
  records: list[dict[str, Any]], name: str
) -> tuple[np.ndarray, np.ndarray]:
  """The rounds that have a value, and the values."""
  pairs = [
    (record['round'], record[name])
    for record in records
    if record.get(name) is not None
  ]
  rounds, values = np.array(pairs, np.float64).reshape(-1, 2).T
  return rounds, values
