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

import matplotlib.figure
import matplotlib.ticker
import numpy as np

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


def _plot_run(axes, run: pathlib.Path, color: str) -> None:
  metrics = run / 'metrics.jsonl'
  records = run_log.read_metrics(metrics)
  counts = np.array([record['train/num_utterances'] for record in records])
  processed = np.cumsum(counts)
  at = [
    i for i, record in enumerate(records) if record.get('eval/wer') is not None
  ]
  if not at:
    raise run_directory.RunError(f'{metrics} has no evaluation; want one.')
  for name, line, label in (('wer', 'o-', 'WER'), ('cer', 'o:', 'CER')):
    rates = [records[i][f'eval/{name}'] for i in at]
    label = f'{_name(run)}: {label} {rates[-1]:.1%}'
    axes.plot(processed[at], rates, line, color=color, label=label)


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
