"""Error rates of several runs on one plot.

  python -m fedjax_asr.figures.comparison [--virtual_time] OUT.png RUN [RUN ...]

Each RUN is a directory that the job `train` wrote, and is named in the figure
by as much of its path as tells it from the others. The axis is what was trained
on, in utterances, because a round of one run is not a round of another; or,
with --virtual_time, the seconds of a run's clock (config.federated.systems).
Runs whose configs differ in the seed alone are one line, their mean, with a
band that is the 95% interval of the mean (Student's t). Where what was held out
is not the same, figure and terminal say so.
"""

import enum
import json
import pathlib
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.ticker
import numpy as np
from jaxtyping import Float64

from fedjax_asr import (
  config,
  json_file,
  run_config,
  run_error,
  run_files,
  run_log,
)
from fedjax_asr.figures import intervals, style

_BAND = "mean over seeds; band: 95% interval of the mean (Student's t)"


class Group(NamedTuple):
  """Runs that differ in the seed alone, in the order they were given.

  name: of one run, as `labels` has it; of several, of the first.
  """

  name: str
  runs: tuple[pathlib.Path, ...]


class Curve(NamedTuple):
  """A rate where all runs of a group were evaluated.

  places: on the axis, the mean over the runs.
  spread: half of the interval of the mean; None of one run.
  """

  places: Float64[np.ndarray, ' evaluations']
  means: Float64[np.ndarray, ' evaluations']
  spread: Float64[np.ndarray, ' evaluations'] | None


class Axis(enum.StrEnum):
  """By what runs are compared; the label of the axis."""

  UTTERANCES = 'utterances trained on'
  VIRTUAL_TIME = 'virtual seconds'


def plot(
  runs: Sequence[pathlib.Path],
  output: pathlib.Path,
  axis: Axis = Axis.UTTERANCES,
) -> pathlib.Path:
  """Writes what `draw` draws.

  Raises:
    RunError: as `draw` does, or the file cannot be written.
  """
  return style.save(draw(runs, axis), output)


def draw(
  runs: Sequence[pathlib.Path], axis: Axis = Axis.UTTERANCES
) -> matplotlib.figure.Figure:
  """WER and CER on held-out speakers of each run or group of seeds.

  Raises:
    RunError: metrics are missing or have no evaluation, or a run is given
      twice.
  """
  groups = grouped(runs)
  warning = held_out_warning(runs)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(style.WIDTH, 6.4 + 0.25 * len(groups)), layout='constrained'
    )
    panels = figure.subplots(2, 1, sharex=True)
    for metric, axes in zip(('wer', 'cer'), panels, strict=True):
      for index, group in enumerate(groups):
        look = style.line(index, len(groups) - 1 - index)
        _draw_curve(axes, curve(group.runs, f'eval/{metric}', axis), look)
      _finish(axes, metric.upper())
    if warning:
      said = '\n'.join(textwrap.wrap(f'{warning}.', 48))
      figure.suptitle(said, fontsize=11, color=style.DISTINCT[4])
    panels[1].set_xlabel(axis.value)
    lines = list(panels[0].lines)
    told = [_told(group) for group in groups]
    if any(len(group.runs) > 1 for group in groups):
      panels[1].set_xlabel(f'{axis.value}\n{textwrap.fill(_BAND, 56)}')
    figure.legend(lines, told, loc='outside lower left')
    return figure


def _draw_curve(axes: Any, drawn: Curve, look: dict[str, Any]) -> None:
  axes.plot(drawn.places, drawn.means, **look)
  if drawn.spread is not None:
    axes.fill_between(
      drawn.places,
      np.maximum(drawn.means - drawn.spread, 0),
      drawn.means + drawn.spread,
      color=look['color'],
      alpha=0.25,
      linewidth=0,
    )


def grouped(runs: Sequence[pathlib.Path]) -> list[Group]:
  """Runs by their configs, the seed and the name apart.

  Of one seed there is one run in a group: another says nothing of chance.

  Raises:
    RunError: a run is given twice, or a config cannot be read.
  """
  groups: dict[tuple[str, int], list[int]] = {}
  counts: dict[tuple[str, int], int] = {}
  for index, run in enumerate(runs):
    seed, rest = _seed_and_rest(run)
    times = counts.get((rest, seed), 0)
    counts[rest, seed] = times + 1
    groups.setdefault((rest, times), []).append(index)
  names = labels(runs)
  return [
    Group(names[places[0]], tuple(runs[place] for place in places))
    for places in groups.values()
  ]


def _seed_and_rest(run: pathlib.Path) -> tuple[int, str]:
  values = run_config.read(run_files.RunFiles(run).config_json)
  seed = values.pop('seed')
  del values['name']
  return seed, json.dumps(values, sort_keys=True)


def curve(
  runs: Sequence[pathlib.Path], metric: str, axis: Axis = Axis.UTTERANCES
) -> Curve:
  """Of runs of one config, evaluated after the same rounds.

  As far as the shortest of them is.

  Raises:
    RunError: as `series` says.
  """
  found = [series(run, metric, axis) for run in runs]
  shortest = min(len(values) for _, values in found)
  places = np.array([counts[:shortest] for counts, _ in found], np.float64)
  values = np.array([values[:shortest] for _, values in found], np.float64)
  spread = intervals.mean_spread(values) if len(runs) > 1 else None
  return Curve(places.mean(0), values.mean(0), spread)


def is_central(run: pathlib.Path) -> bool:
  """Whether one client holds all speech."""
  file = run_files.RunFiles(run).config_json
  try:
    federated = run_config.read(file)['federated']
    is_split = federated['partition'] != config.Partition.SPEAKER
    return is_split and federated['num_clients'] == 1
  except (KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{file}: {error!r}; want the config of a run.'
    ) from error


def _finish(axes: Any, name: str) -> None:
  axes.set_ylim(0)
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
  axes.set_title(f'{name} on held-out speakers')


def _told(group: Group) -> str:
  """Its name, how it trains, and its rates at the end."""
  kind = 'central' if is_central(group.runs[0]) else 'federated'
  rates = []
  for metric in ('wer', 'cer'):
    drawn = curve(group.runs, f'eval/{metric}')
    said = f'{metric.upper()} {drawn.means[-1]:.1%}'
    if drawn.spread is not None:
      said += f' \u00b1 {drawn.spread[-1]:.1%}'
    rates.append(said)
  seeds = f', {len(group.runs)} seeds' if len(group.runs) > 1 else ''
  return f'{group.name} ({kind}{seeds}):\n{", ".join(rates)}'


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
