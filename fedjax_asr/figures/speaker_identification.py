"""Whether the speaker is told from what an attack found, beside chance."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr.figures import comparison, drawn_attack, intervals, style

_ORIGINAL = 'original'
_TICK_CHARACTERS = 16


def draw(
  attacks: Sequence[drawn_attack.DrawnAttack],
) -> matplotlib.figure.Figure:
  """How often the true speaker is first, and its rank, by method.

  Raises:
    Missing: no speakers were identified in one of the attacks.
    RunError: the ranks are damaged, or an attack is given twice.
  """
  with style.context():
    return _figure(_groups(attacks))


def _groups(attacks) -> dict[str, drawn_attack.Record]:
  """The ceiling of each attack first, then its methods."""
  names = comparison.labels([attack.path for attack in attacks])
  groups = {}
  for name, attack in zip(names, attacks, strict=True):
    prefix = f'{style.drawable(name)}\n' if len(attacks) > 1 else ''
    ranks = attack.speakers
    for method in [_ORIGINAL, *(each for each in ranks if each != _ORIGINAL)]:
      said = method.replace('_', ' ')
      if method == _ORIGINAL:
        said = 'original features (ceiling)'
      is_ceiling = {'is_ceiling': method == _ORIGINAL}
      groups[f'{prefix}{said}'] = ranks[method] | is_ceiling
  return groups


def _figure(groups) -> matplotlib.figure.Figure:
  size = (max(style.WIDTH, 1.5 * len(groups) + 1), 6.4)
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  first, ranks = figure.subplots(2, 1, sharex=True)
  ceiling = next(iter(groups.values()))
  for index, group in enumerate(groups.values()):
    color = style.DISTINCT[index % len(style.DISTINCT)]
    ceiling = group if group['is_ceiling'] else ceiling
    _draw_share(first, index, group, color)
    _line(first, index, _rate(ceiling), ':')
    _draw_ranks(ranks, index, group, color)
  first.set_title('true speaker first, of all utterances')
  first.set_ylabel('share')
  first.set_ylim(0, 1.05)
  first.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  ranks.set_title('rank of the true speaker')
  ranks.set_ylabel('rank, 1 is best')
  ranks.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
  # The best is above.
  last = max(each['num_candidates'] for each in groups.values())
  ranks.set_ylim(last + 0.5, 0.5)
  ticks = [_tick(name, group) for name, group in groups.items()]
  ranks.set_xticks(range(len(groups)), ticks)
  for axes in (first, ranks):
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.grid(False, axis='x')
  caption = textwrap.fill(
    'whiskers: 95% interval (Wilson); dashed: chance among the candidates; '
    'dotted: the ceiling; what a method refused counts as the last rank',
    int(13 * size[0]),
  )
  figure.supxlabel(caption, fontsize=10, x=0.02, ha='left')
  return figure


def _tick(name: str, group: drawn_attack.Record) -> str:
  lines = [*name.splitlines(), f'of {group["num_candidates"]} speakers']
  return '\n'.join(textwrap.fill(line, _TICK_CHARACTERS) for line in lines)


def _draw_share(axes: Any, position: int, group, color: str) -> None:
  ranks = group['ranks']
  count, rate = sum(rank == 1 for rank in ranks), _rate(group)
  low, high = intervals.share(count, len(ranks))
  axes.errorbar(
    position,
    rate,
    [[rate - low], [high - rate]],
    color=color,
    marker='o',
    markersize=8,
    capsize=6,
  )
  axes.annotate(
    f'{count} of {len(ranks)}',
    (position, rate),
    (10, 0),
    textcoords='offset points',
    va='bottom',
    fontsize=10,
  )
  _line(axes, position, 1 / group['num_candidates'], '--')


def _draw_ranks(axes: Any, position: int, group, color: str) -> None:
  """A point for each utterance, as large as they are many."""
  ranks, counts = np.unique(group['ranks'], return_counts=True)
  axes.scatter([position] * len(ranks), ranks, 40 * counts, color, alpha=0.6)
  for rank, count in zip(ranks, counts, strict=True):
    axes.annotate(
      f'{count}',
      (position, rank),
      (9 + 2 * np.sqrt(count), 0),
      textcoords='offset points',
      va='center',
      fontsize=10,
    )
  _line(axes, position, (group['num_candidates'] + 1) / 2, '--')


def _rate(group) -> float:
  return sum(rank == 1 for rank in group['ranks']) / len(group['ranks'])


def _line(axes: Any, position: int, level: float, dashes: str) -> None:
  """As wide as the column."""
  axes.hlines(
    level,
    position - 0.5,
    position + 0.5,
    color=style.INK,
    linestyles=dashes,
    linewidth=1.4,
  )
