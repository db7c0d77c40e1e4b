"""Singular values of the updates that an attack read a rank from."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.figure

from fedjax_asr import run_error
from fedjax_asr.figures import drawn_attack, drawn_run, style

# Victims that are drawn apart; of more, the first ones.
_MOST_VICTIMS = 6
_CAPTION = (
  'circle: the rank that was gone by; dashed: the edge of the noise there; '
  'dotted: what the last value that counts has to reach'
)


def draw(attack: drawn_attack.DrawnAttack) -> matplotlib.figure.Figure:
  """A panel for each method and layer, a line for each victim.

  Raises:
    Missing: the attack kept none.
    RunError: what it kept is damaged.
  """
  try:
    panels = _by_panel(attack.spectra)
    with style.context():
      return _figure(panels)
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise run_error.RunError(
      f'{attack.files.spectra}: {error!r}; want the spectra of an attack.'
    ) from error


def _by_panel(
  records: Sequence[drawn_attack.Record],
) -> dict[tuple[str, str], list[drawn_attack.Record]]:
  panels: dict[tuple[str, str], list[drawn_attack.Record]] = {}
  for record in records:
    name = record['method'], record['layer']
    panels.setdefault(name, []).append(record)
  if not panels:
    raise drawn_run.Missing('no rank was looked for.')
  return panels


def _figure(panels) -> matplotlib.figure.Figure:
  figure = matplotlib.figure.Figure(
    figsize=(style.WIDTH, 3.2 * len(panels) + 0.9), layout='constrained'
  )
  rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
  for axes, ((method, layer), records) in zip(
    rows, panels.items(), strict=True
  ):
    _draw_panel(axes, records)
    axes.set_title(f'{method.replace("_", " ")}: {layer}')
  rows[-1].set_xlabel('singular value, the largest first')
  caption = textwrap.fill(_CAPTION, 66)
  figure.supxlabel(caption, fontsize=10, x=0.02, ha='left')
  return figure


def _draw_panel(axes: Any, records: list[drawn_attack.Record]) -> None:
  drawn = records[:_MOST_VICTIMS]
  for index, record in enumerate(drawn):
    color = style.DISTINCT[index % len(style.DISTINCT)]
    _draw_spectrum(axes, record, color)
  axes.set_yscale('log')
  axes.set_xlim(0)
  axes.set_ylabel('value / the largest')
  axes.margins(y=0.08)
  if len(records) > len(drawn):
    axes.text(
      0.98,
      0.98,
      f'the first {len(drawn)} of {len(records)}',
      transform=axes.transAxes,
      ha='right',
      va='top',
      fontsize=10,
    )
  axes.legend(loc='best', fontsize=9, handlelength=1.2)


def _draw_spectrum(axes: Any, record: drawn_attack.Record, color: str) -> None:
  largest = max(record['values'])
  if not largest > 0:
    raise ValueError('no singular value over 0')
  points = {
    place: value / largest
    for place, value in zip(record['places'], record['values'], strict=True)
    # What is 0 has no logarithm.
    if value > 0
  }
  axes.plot(
    list(points),
    list(points.values()),
    color=color,
    linewidth=1.4,
    label=style.drawable(f'{record["victim"]}: {_rank_said(record)}'),
  )
  if not record['noise']:
    return
  rank, end = record['rank'], record['of']
  for level, dashes in (('noise', '--'), ('threshold', ':')):
    axes.hlines(
      record[level] / largest, rank, end, color=color, linestyles=dashes
    )
  if rank in points:
    axes.plot(
      rank,
      points[rank],
      'o',
      color=color,
      markersize=9,
      markerfacecolor='none',
      markeredgewidth=1.6,
    )


def _rank_said(record: drawn_attack.Record) -> str:
  if not record['noise']:
    return f'no drop in {record["of"]}'
  return f'rank {record["rank"]} of {record["of"]}'
