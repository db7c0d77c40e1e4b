"""Error rates of several runs on one plot.

  python -m fedjax_asr.figures.comparison OUT.png RUN [RUN ...]

Each RUN is a directory that the job `train` wrote. The axis is what was
trained on, in utterances, because a round of one run is not a round of
another.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker

from fedjax_asr import config, run_directory, run_log
from fedjax_asr.figures import style

_COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE)


def plot(runs: Sequence[pathlib.Path], output: pathlib.Path) -> pathlib.Path:
  """WER and CER on held-out speakers of each run, by utterances trained on.

  Raises:
    RunError: metrics are missing or have no evaluation, or the file cannot be
      written.
  """
  with style.context():
    figure = matplotlib.figure.Figure(figsize=(7, 4.2), layout='constrained')
    axes = figure.subplots()
    for index, run in enumerate(runs):
      _plot_run(axes, run, _COLORS[index % len(_COLORS)])
    axes.set_ylim(0)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
    axes.set_title('Error rates on held-out speakers')
    axes.set_xlabel('utterances trained on')
    axes.legend()
    return style.save(figure, output)


def series(run: pathlib.Path, metric: str) -> tuple[list[float], list[float]]:
  """Utterances trained on at each evaluation, and the metric there.

  Raises:
    RunError: the metrics are missing, damaged or have no evaluation.
  """
  metrics = run / 'metrics.jsonl'
  processed, counts, values = 0.0, [], []
  for record in run_log.read_metrics(metrics):
    processed += record.get('train/num_utterances') or 0
    if record.get(metric) is not None:
      counts.append(processed)
      values.append(record[metric])
  if not values:
    raise run_directory.RunError(f'{metrics} has no evaluation; want one.')
  return counts, values


def _plot_run(axes: Any, run: pathlib.Path, color: str) -> None:
  for name, line, label in (('wer', 'o-', 'WER'), ('cer', 'o:', 'CER')):
    counts, rates = series(run, f'eval/{name}')
    label = f'{_name(run)}: {label} {rates[-1]:.1%}'
    axes.plot(counts, rates, line, color=color, label=label)


def _name(run: pathlib.Path) -> str:
  try:
    return json.loads((run / 'config.json').read_text())['name']
  except (OSError, ValueError, KeyError, TypeError):
    return run.name


def main(argv: list[str]) -> int:
  if len(argv) < 3:
    print(__doc__, file=sys.stderr)
    return 2
  try:
    path = plot([pathlib.Path(run) for run in argv[2:]], pathlib.Path(argv[1]))
  except config.UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  print(path)
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv))
