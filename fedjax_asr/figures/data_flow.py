"""From a corpus to a round, with a run's own counts; and who has what."""

import collections
from typing import Any, NamedTuple

import matplotlib.colors
import matplotlib.figure
import matplotlib.patches
import matplotlib.ticker
import numpy as np

from fedjax_asr.figures import drawn_run, style

# Of the heat map: more would be thinner than a pixel's line.
_MOST_CLIENTS = 60
# Of the frame buckets, under their box.
_MOST_LETTERS = 14


class _Box(NamedTuple):
  """A step: its name, what it did, and what comes out of it."""

  title: str
  told: str
  out: str


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """A chain of boxes with counts; below, durations, speech and utterances of
  each client, how often each label is, who has which labels, who took part, and
  padding by round and by frame bucket.

  Raises:
    Missing: the run has no description of its clients.
  """
  population = run.population
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 13.0), layout='constrained'
    )
    grid = figure.add_gridspec(5, 2, height_ratios=(0.9, 1.4, 1.4, 1.4, 1.4))
    boxes = _boxes(run, population)
    _draw_chain(figure.add_subplot(grid[0, :]), boxes)
    _draw_durations(figure.add_subplot(grid[1, 0]), population)
    _draw_labels(figure.add_subplot(grid[1, 1]), population)
    _draw_clients(figure.add_subplot(grid[2, 0]), population)
    _draw_utterances(figure.add_subplot(grid[2, 1]), population)
    _draw_participation(figure.add_subplot(grid[3, 0]), run)
    _draw_skew(figure, figure.add_subplot(grid[3, 1]), population)
    _draw_padding(figure.add_subplot(grid[4, 0]), run)
    _draw_buckets(figure.add_subplot(grid[4, 1]), run)
    return figure


def _boxes(run: drawn_run.DrawnRun, population: dict[str, Any]) -> list[_Box]:
  """In the order in which speech goes through them."""
  cfg = run.config
  counts, layout = population['utterances'], population['layout']
  bad = sum(population['problems'].values())
  dropped = population['dropped_transcripts']
  held_out = counts['heldout_speakers'] + counts['heldout_utterances']
  usable = sum(counts.values()) + dropped
  places = layout['num_devices'] * layout['num_blocks']
  buckets = '/'.join(map(str, layout['frame_buckets']))
  if len(buckets) > _MOST_LETTERS:
    buckets = f'{len(layout["frame_buckets"])} sizes of'
  kind = cfg.features.kind.replace('_', ' ')
  clients = cfg.federated.cohort_size or _median(run, 'train/num_clients')
  return [
    _Box('corpus', str(cfg.data.corpus), f'{usable + bad:,}'),
    _Box(
      'features',
      f'{cfg.features.num_features} values\n{kind}',
      f'{usable + bad:,}',
    ),
    _Box('audit', f'{bad:,} bad', f'{usable:,}'),
    _Box(
      'split',
      f'{held_out:,} held out\n{dropped:,} dropped',
      f'{counts["train"]:,}',
    ),
    _Box(
      'partition',
      f'by {cfg.federated.partition}',
      f'{population["num_clients"]:,}\nclients',
    ),
    _Box('cohort', 'of a round', f'{clients}\nclients'),
    _Box(
      'blocks',
      f'{places} of {layout["block_size"]} clients\n'
      f'{layout["num_steps"]} steps of {layout["batch_size"]}\n'
      f'{buckets} frames',
      f'{_median(run, "train/num_utterances")}\nutterances',
    ),
    _Box('round', f'{_rounds(run)} done', ''),
  ]


def _median(run: drawn_run.DrawnRun, name: str) -> str:
  """Of the rounds behind the run; '?' before the first."""
  try:
    _, values = run.series(name)
  except drawn_run.Missing:
    return '?'
  return f'{np.median(values):,.0f}' if len(values) else '?'


def _rounds(run: drawn_run.DrawnRun) -> str:
  try:
    return f'{run.metrics[-1]["round"]:,}'
  except drawn_run.Missing:
    return '0'


def _draw_chain(axes: Any, boxes: list[_Box]) -> None:
  """What flows stands above its arrow."""
  axes.set_axis_off()
  axes.set_xlim(0, len(boxes))
  axes.set_ylim(0, 1)
  for index, (title, told, out) in enumerate(boxes):
    axes.add_patch(
      matplotlib.patches.FancyBboxPatch(
        (index + 0.02, 0.5),
        0.6,
        0.3,
        boxstyle='round,pad=0,rounding_size=0.06',
        facecolor=(*matplotlib.colors.to_rgb(style.BLUE), 0.15),
        edgecolor=style.BLUE,
      )
    )
    middle = index + 0.32
    axes.text(middle, 0.65, title, ha='center', va='center', fontsize=9)
    axes.text(middle, 0.42, told, ha='center', va='top', fontsize=8)
    if index + 1 < len(boxes):
      axes.annotate(
        '',
        (index + 1.02, 0.65),
        (index + 0.62, 0.65),
        arrowprops={'arrowstyle': '-|>', 'color': style.INK},
      )
      axes.text(
        index + 0.81,
        0.83,
        out,
        ha='center',
        va='bottom',
        fontsize=8,
      )


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
  style.count_along(axes, 1, len(seconds))
  axes.set_xlabel(_of(len(clients), population, 'clients'))
  axes.set_ylabel('seconds')


def _draw_utterances(axes: Any, population: dict[str, Any]) -> None:
  clients = population['clients']
  axes.set_title('utterances of each client')
  counts = sorted((each['utterances'] for each in clients), reverse=True)
  axes.bar(range(1, len(counts) + 1), counts, width=1.0, color=style.BLUE)
  style.count_along(axes, 1, len(counts))
  axes.set_xlabel(_of(len(clients), population, 'clients'))
  axes.set_ylabel('utterances')
  axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))


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
  _mark_symbols(axes, population['symbols'])
  axes.yaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=''))
  axes.grid(axis='x', visible=False)


def _mark_symbols(axes: Any, symbols: list[str]) -> None:
  shown = [style.drawable(each.replace(' ', '\u2423')) for each in symbols]
  axes.set_xticks(range(len(shown)), shown, fontsize=8)
  for label, text in zip(axes.get_xticklabels(), shown, strict=True):
    # Units of several letters, and codes of what no font has.
    label.set_rotation(90 if len(text) > 2 else 0)


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
    skew,
    aspect='auto',
    cmap='RdBu_r',
    vmin=-3,
    vmax=3,
    interpolation='nearest',
    extent=(-0.5, counts.shape[1] - 0.5, len(clients) + 0.5, 0.5),
  )
  shown = np.linspace(1, len(clients), min(6, len(clients))).round()
  axes.set_yticks(shown)
  _mark_symbols(axes, population['symbols'])
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
  style.count_along(axes, float(rounds.min()), float(rounds.max()))
  axes.set_xlabel(f'rounds, of {len(records)} that tell of clients')
  axes.set_ylabel('clients')


def _draw_padding(axes: Any, run: drawn_run.DrawnRun) -> None:
  axes.set_title('padding among the frames of a round')
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
  axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
  axes.set_xlabel(f'of a round; mean {np.mean(waste):.0%}')
  axes.set_ylabel('rounds')


def _draw_buckets(axes: Any, run: drawn_run.DrawnRun) -> None:
  """Of each bucket, its share of the frames computed, and the padding in it."""
  axes.set_title('frames computed, by frame bucket')
  found = padding_by_bucket(run)
  if not found:
    axes.text(0.5, 0.5, 'not told', transform=axes.transAxes, ha='center')
    return
  total = sum(computed for computed, _ in found.values())
  places = np.arange(len(found))
  speech, padding = (
    np.array([part(*each) / total for each in found.values()])
    for part in (lambda c, w: c * (1 - w), lambda c, w: c * w)
  )
  axes.bar(places, speech, color=style.BLUE, label='speech')
  axes.bar(places, padding, bottom=speech, color=style.ORANGE, label='padding')
  for place, (_, waste), top in zip(
    places, found.values(), speech + padding, strict=True
  ):
    axes.text(place, top, f'{waste:.0%}', ha='center', va='bottom', fontsize=9)
  axes.set_xticks(places, [f'{bucket:,}' for bucket in found])
  axes.set_xlabel('frames that a step is computed at')
  axes.set_ylim(0, 1.35 * (speech + padding).max())
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.grid(axis='x', visible=False)
  axes.legend(loc='upper left', ncols=2, fontsize=9)


def padding_by_bucket(
  run: drawn_run.DrawnRun,
) -> dict[int, tuple[float, float]]:
  """Frames computed in all rounds, and the fraction that is padding.

  Of a run of before buckets were told apart, nothing.
  """
  found = {}
  for bucket in run.population['layout']['frame_buckets']:
    try:
      _, computed = run.series(f'frames_computed/{bucket}')
      _, waste = run.series(f'padding_waste/{bucket}')
    except drawn_run.Missing:
      return {}
    if len(computed) and len(computed) == len(waste):
      total = float(computed.sum())
      found[bucket] = total, float((computed * waste).sum()) / total
  return found
