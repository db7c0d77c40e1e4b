"""From a corpus to a round, with a run's own counts; and who has what."""

import collections
from typing import Any

import matplotlib.colors
import matplotlib.figure
import matplotlib.patches
import matplotlib.ticker
import numpy as np

from fedjax_asr import config
from fedjax_asr.figures import drawn_run, style

# Of the heat map: more would be thinner than a pixel's line.
_MOST_CLIENTS = 60


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """A chain of boxes with counts; below, durations, speech of each client, how
  often each label is, who has which labels, who took part, and padding.

  Raises:
    Missing: the run has no description of its clients.
  """
  population = run.population
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 10.5), layout='constrained'
    )
    grid = figure.add_gridspec(4, 2, height_ratios=(1.0, 1.4, 1.4, 1.4))
    _draw_chain(figure.add_subplot(grid[0, :]), _boxes(run.config, population))
    _draw_durations(figure.add_subplot(grid[1, 0]), population)
    _draw_clients(figure.add_subplot(grid[1, 1]), population)
    _draw_labels(figure.add_subplot(grid[2, 0]), population)
    _draw_skew(figure, figure.add_subplot(grid[2, 1]), population)
    _draw_participation(figure.add_subplot(grid[3, 0]), run)
    _draw_padding(figure.add_subplot(grid[3, 1]), run)
    return figure


def _boxes(
  cfg: config.Config, population: dict[str, Any]
) -> list[tuple[str, str]]:
  """Titles and what came through, in order."""
  counts, layout = population['utterances'], population['layout']
  bad = sum(population['problems'].values())
  dropped = population['dropped_transcripts']
  held_out = counts['heldout_speakers'] + counts['heldout_utterances']
  total = sum(counts.values()) + bad + dropped
  places = layout['num_devices'] * layout['num_blocks']
  buckets = '/'.join(map(str, layout['frame_buckets']))
  return [
    (f'corpus\n{cfg.data.corpus}', f'{total:,}'),
    ('audit', f'{bad:,} bad\n{dropped:,} dropped'),
    ('split', f'{held_out:,}\nheld out'),
    (f'partition\n{cfg.federated.partition}', f'{counts["train"]:,}'),
    ('population', f'{population["num_clients"]:,}\nclients'),
    ('cohort', f'{cfg.federated.cohort_size or "auto"} clients'),
    (
      f'{places} blocks of {layout["block_size"]}',
      f'{layout["num_steps"]} steps of {layout["batch_size"]}\n'
      f'{buckets} frames',
    ),
    ('round', ''),
  ]


def _draw_chain(axes: Any, boxes: list[tuple[str, str]]) -> None:
  axes.set_axis_off()
  axes.set_xlim(0, len(boxes))
  axes.set_ylim(0, 1)
  for index, (title, told) in enumerate(boxes):
    axes.add_patch(
      matplotlib.patches.FancyBboxPatch(
        (index + 0.06, 0.55),
        0.8,
        0.4,
        boxstyle='round,pad=0,rounding_size=0.06',
        facecolor=(*matplotlib.colors.to_rgb(style.BLUE), 0.15),
        edgecolor=style.BLUE,
      )
    )
    axes.text(index + 0.46, 0.75, title, ha='center', va='center', fontsize=9)
    if index + 1 < len(boxes):
      axes.annotate(
        '',
        (index + 1.06, 0.75),
        (index + 0.86, 0.75),
        arrowprops={'arrowstyle': '-|>', 'color': style.INK},
      )
    axes.text(index + 0.46, 0.47, told, ha='center', va='top', fontsize=9)


def _draw_durations(axes: Any, population: dict[str, Any]) -> None:
  axes.set_title('training utterances')
  durations = population['durations']
  axes.stairs(
    durations['counts'], durations['edges'], fill=True, color=style.BLUE
  )
  axes.set_xlabel('seconds')


def _draw_clients(axes: Any, population: dict[str, Any]) -> None:
  clients = population['clients']
  axes.set_title('speech of each client')
  seconds = sorted((each['seconds'] for each in clients), reverse=True)
  axes.bar(range(1, len(seconds) + 1), seconds, width=1.0, color=style.BLUE)
  axes.set_xlabel(_of(len(clients), population, 'clients'))
  axes.set_ylabel('seconds')


def _of(shown: int, population: dict[str, Any], what: str) -> str:
  total = population['num_clients']
  if shown < total:
    return f'{what} (the {shown} largest of {total:,})'
  return what


def _draw_labels(axes: Any, population: dict[str, Any]) -> None:
  axes.set_title('labels of the training set')
  counts = population['labels']
  places = range(len(counts))
  axes.bar(places, counts, color=style.BLUE)
  axes.set_xticks(places, _shown(population['symbols']), fontsize=8)
  axes.yaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=''))
  axes.grid(axis='x', visible=False)


def _shown(symbols: list[str]) -> list[str]:
  return [style.drawable(each.replace(' ', '\u2423')) for each in symbols]


def _draw_skew(
  figure: matplotlib.figure.Figure, axes: Any, population: dict[str, Any]
) -> None:
  """How far each client's share of a label is from that of all."""
  axes.set_title('labels by client, beside all')
  clients = population['clients'][:_MOST_CLIENTS]
  counts = np.array([each['labels'] for each in clients], np.float64)
  # Half a label, so that none is infinitely rare.
  shares = (counts + 0.5) / (counts + 0.5).sum(1, keepdims=True)
  overall = np.array(population['labels'], np.float64) + 0.5
  skew = np.log2(shares / (overall / overall.sum()))
  image = axes.imshow(
    skew, aspect='auto', cmap='RdBu_r', vmin=-3, vmax=3, interpolation='nearest'
  )
  axes.set_xticks(
    range(counts.shape[1]), _shown(population['symbols']), fontsize=8
  )
  axes.set_ylabel(_of(len(clients), population, 'clients'))
  axes.grid(visible=False)
  bar = figure.colorbar(image, ax=axes, ticks=(-3, 0, 3))
  bar.ax.set_yticklabels(['1/8', 'as all', '8 times'], fontsize=8)


def _draw_participation(axes: Any, run: drawn_run.DrawnRun) -> None:
  axes.set_title('rounds that a client took part in')
  try:
    records = run.clients
  except drawn_run.Missing:
    records = []
  counts = collections.Counter(
    name for record in records for name in record['client']
  )
  if not counts:
    axes.text(0.5, 0.5, 'not told', transform=axes.transAxes, ha='center')
    return
  absent = run.population['num_clients'] - len(counts)
  rounds = np.array([*counts.values(), *[0] * absent])
  axes.bar(*np.unique(rounds, return_counts=True), width=0.9, color=style.BLUE)
  axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
  axes.set_xlabel(f'rounds, of {len(records)} that tell of clients')
  axes.set_ylabel('clients')


def _draw_padding(axes: Any, run: drawn_run.DrawnRun) -> None:
  axes.set_title('padding among the frames computed')
  try:
    rounds, waste = run.series('padding_waste')
  except drawn_run.Missing:
    rounds = waste = np.zeros(0)
  if not len(rounds):
    axes.text(0.5, 0.5, 'no values yet', transform=axes.transAxes, ha='center')
    return
  axes.hist(waste, 30, range=(0, 1), color=style.BLUE)
  axes.axvline(float(np.mean(waste)), color=style.ORANGE)
  axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.set_xlabel(f'of a round; mean {np.mean(waste):.0%}')
  axes.set_ylabel('rounds')
