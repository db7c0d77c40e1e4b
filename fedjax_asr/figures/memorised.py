"""How well a model has planted sentences by heart."""

from typing import Any

import matplotlib.figure
import numpy as np

from fedjax_asr import config
from fedjax_asr.figures import drawn_audit, leakage, style

_CAPTION = (
  'A sentence of random symbols, planted so often on speech of a client. Bits: '
  'how far up it stands among random sentences on the same speech; grey: by '
  'the same training without what was planted. Dotted: the mean of a sentence '
  'that nobody has seen. Bars: means. Ring: the recogniser reads it out.'
)


def draw(audit: drawn_audit.DrawnAudit) -> matplotlib.figure.Figure:
  """Bits of each sentence by how often it was planted.

  Raises:
    Missing: exposure was not measured.
  """
  part = audit.part(config.AuditPart.EXPOSURE)
  groups = part['by_repeats']
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(max(1.4 * style.WIDTH, 1.2 * len(groups)), 4.8),
      layout='constrained',
    )
    axes = figure.subplots()
    for place, group in enumerate(groups):
      _draw_group(axes, place, group, part['sentences'])
    for level, dashes in (
      (part['most_bits'], '-'),
      (part['expected_bits_unplanted'], ':'),
    ):
      axes.axhline(level, color=style.INK, linestyle=dashes, linewidth=1.4)
    ticks = [_tick(group, part['sentences']) for group in groups]
    axes.set_xticks(range(len(groups)), ticks)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(-0.4, 1.1 * part['most_bits'])
    axes.grid(False, axis='x')
    axes.set_xlabel('times planted')
    axes.set_ylabel('bits of exposure')
    axes.set_title(f'at most {part["most_bits"]:.1f} bits can be measured')
    leakage.caption(figure, _CAPTION + _untrained(groups))
    return figure


def _draw_group(axes: Any, place: int, group, sentences) -> None:
  rows = _trained(group, sentences)
  for shift, model, mean, color in (
    (-0.18, 'without', group['mean_bits_without'], style.INK),
    (0.18, 'planted', group['mean_bits'], style.BLUE),
  ):
    if mean is None:
      continue
    bits = [row['exposure'][model]['bits'] for row in rows]
    spread = place + shift + np.linspace(-0.1, 0.1, len(bits))
    axes.scatter(spread, bits, 24, color, alpha=0.7)
    axes.hlines(
      mean, place + shift - 0.15, place + shift + 0.15, color=color, linewidth=3
    )
    if model == 'planted':
      read = [_is_read(row) for row in rows]
      axes.scatter(
        spread[read],
        np.array(bits)[read],
        110,
        facecolors='none',
        edgecolors=style.DISTINCT[4],
        linewidths=1.6,
      )


def _trained(group, sentences) -> list:
  return [
    row
    for row in sentences
    if row['repeats'] == group['repeats'] and row['times_trained']
  ]


def _is_read(row) -> bool:
  return bool(row['is_read_greedily'] or row['is_read_by_beam'])


def _tick(group, sentences) -> str:
  if not group['num_trained']:
    return f'{group["repeats"]}\nnone was trained on'
  read = sum(map(_is_read, _trained(group, sentences)))
  return f'{group["repeats"]}\n{read} of {group["num_trained"]} read'


def _untrained(groups) -> str:
  count = sum(each['num_sentences'] - each['num_trained'] for each in groups)
  if not count:
    return ''
  return f' Not drawn: {count} whose clients took part in no round.'
