"""Error rates of several runs on one plot.

  python -m fedjax_asr.figures.comparison [--virtual_time] OUT.png RUN [RUN ...]

Each RUN is a directory that the job `train` wrote, and is named in the figure
by as much of its path as tells it from the others. The axis is what was trained
on, in utterances, because a round of one run is not a round of another; or,
with --virtual_time, the seconds of a run's clock (config.federated.systems).
Where what was held out is not the same, figure and terminal say so.
"""

import enum
import pathlib
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker

from fedjax_asr import (
  config,
  json_file,
  run_config,
  run_error,
  run_files,
  run_log,
)
from fedjax_asr.figures import style


class Axis(enum.StrEnum):
  """By what runs are compared; the label of the axis."""

  UTTERANCES = 'utterances trained on'
  VIRTUAL_TIME = 'virtual seconds'


def plot(
  runs: Sequence[pathlib.Path],
  output: pathlib.Path,
  axis: Axis = Axis.UTTERANCES,
) -> pathlib.Path:
  """WER and CER on held-out speakers of each run.

  Raises:
    RunError: metrics are missing or have no evaluation, a run is given twice,
      or the file cannot be written.
  """
  names = labels(runs)
  warning = held_out_warning(runs)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(style.WIDTH, 6 + 0.25 * len(runs)), layout='constrained'
    )
    panels = figure.subplots(2, 1, sharex=True)
    for metric, axes in zip(('wer', 'cer'), panels, strict=True):
      for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        counts, rates = series(run, f'eval/{metric}', axis)
        look = style.line(index, len(runs) - 1 - index)
        axes.plot(counts, rates, label=name, **look)
      _finish(axes, metric.upper())
    if warning:
      said = '\n'.join(textwrap.wrap(f'{warning}.', 48))
      figure.suptitle(said, fontsize=11, color=style.DISTINCT[4])
    panels[1].set_xlabel(axis.value)
    lines, _ = panels[0].get_legend_handles_labels()
    figure.legend(lines, _legend(runs, names), loc='outside lower left')
    return style.save(figure, output)


def _finish(axes: Any, name: str) -> None:
  axes.set_ylim(0)
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
  axes.set_title(f'{name} on held-out speakers')


def _legend(runs: Sequence[pathlib.Path], names: Sequence[str]) -> list[str]:
  last = [
    [series(run, f'eval/{metric}')[1][-1] for metric in ('wer', 'cer')]
    for run in runs
  ]
  return [
    f'{name}: WER {wer:.1%}, CER {cer:.1%}'
    for name, (wer, cer) in zip(names, last, strict=True)
  ]


def labels(runs: Sequence[pathlib.Path]) -> list[str]:
  """The least of the ends of the runs' paths that tells them apart.

  Raises:
    RunError: a run is given twice.
  """
  parts = [pathlib.Path(run).resolve().parts for run in runs]
  if len(set(parts)) < len(parts):
    raise run_error.RunError(
      f'{len(parts)} runs of which some are the same; want each once.'
    )
  depth = 1
  while len({path[-depth:] for path in parts}) < len(parts):
    depth += 1
  return ['/'.join(path[-depth:]) for path in parts]


def held_out_warning(runs: Sequence[pathlib.Path]) -> str:
  """Why the runs' rates may not be compared; '' where they may.

  Raises:
    RunError: a run's record of its corpus is damaged.
  """
  records = [_held_out(run) for run in runs]
  unknown = [
    name
    for name, record in zip(labels(runs), records, strict=True)
    if not record
  ]
  if len(runs) > 1 and unknown:
    return (
      f'whether all runs hold out the same speech is not known: '
      f'{unknown[0]} has no {run_files.RunFiles(runs[0]).corpus.name}'
    )
  if len({each for record in records for each in record}) > 1:
    # Digests of utterances have their frames in them.
    return (
      'the runs hold out different speech, or cut it into other frames: their '
      'rates may not compare'
    )
  return ''


def _held_out(run: pathlib.Path) -> set[tuple[Any, ...]]:
  """What the rates are of: one, or several where the run's corpus changed."""
  found = set()
  corpus = run_files.RunFiles(run).corpus
  for file in corpus.parent.glob(f'{corpus.stem}*{corpus.suffix}'):
    values = json_file.read(file)
    try:
      held_out = values['sets']['heldout_speakers'].items()
    except (AttributeError, KeyError, TypeError) as error:
      raise run_error.RunError(
        f'{file}: {error!r}; want it as training left it.'
      ) from error
    found.add((_max_utterances(run), *sorted(held_out)))
  return found


def _max_utterances(run: pathlib.Path) -> int:
  """How many of them were recognised at each evaluation; 0: all."""
  file = run_files.RunFiles(run).config_json
  try:
    return run_config.read(file)['evaluation']['max_utterances']
  except (KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{file}: {error!r}; want the config of a run.'
    ) from error


def series(
  run: pathlib.Path, metric: str, axis: Axis = Axis.UTTERANCES
) -> tuple[list[float], list[float]]:
  """The place on the axis of each evaluation, and the metric there.

  Raises:
    RunError: the metrics are missing, damaged, have no evaluation, or no
      virtual time where that is the axis.
  """
  metrics = run_files.RunFiles(run).metrics
  processed, counts, values = 0.0, [], []
  for record in run_log.read_metrics(metrics):
    processed += record.get('train/num_utterances') or 0
    if record.get(metric) is not None:
      counts.append(
        processed if axis is Axis.UTTERANCES else _virtual_time(record, metrics)
      )
      values.append(record[metric])
  if not values:
    raise run_error.RunError(f'{metrics} has no evaluation; want one.')
  return counts, values


def _virtual_time(record: dict[str, Any], metrics: pathlib.Path) -> float:
  time = record.get('virtual_time')
  if time is None:
    raise run_error.RunError(
      f'{metrics} has no virtual_time; want a run with '
      'config.federated.systems.speeds.'
    )
  return time


def main(argv: list[str]) -> int:
  axis = Axis.UTTERANCES
  if argv[1:2] == ['--virtual_time']:
    axis = Axis.VIRTUAL_TIME
    argv = [argv[0], *argv[2:]]
  if len(argv) < 3:
    print(__doc__, file=sys.stderr)
    return 2
  runs = [pathlib.Path(run) for run in argv[2:]]
  try:
    path = plot(runs, pathlib.Path(argv[1]), axis)
    warning = held_out_warning(runs)
  except config.UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  if warning:
    print(f'warning: {warning}', file=sys.stderr)
  print(path)
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv))
