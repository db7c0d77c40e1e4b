"""Whether updates tell who is speaking, and what the speaker is like."""

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np
import scipy.stats

from fedjax_asr import config
from fedjax_asr.figures import dots, drawn_audit, leakage, style

# What was looked at: the first is the attack, the others what it could reach.
SOURCES = {
  'update': 'update',
  'inputs': "the model's inputs",
  'speech': 'speech itself',
}
_COLORS = {
  'update': style.BLUE,
  'inputs': style.DISTINCT[3],
  'speech': style.ORANGE,
}
_RATES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_CAPTION = (
  "Bars: intervals. Dashed: chance. The model's inputs and the speech behind "
  'the updates are not seen by an attacker; they are a ceiling, of the same '
  'method. Equal error: as many impostors accepted as genuine pairs rejected, '
  'which a guess does in 50%.'
)

_DASHES = (
  'Errors: in the colours that are named below; solid: trained, dotted: cosine.'
)


def draw(audit: drawn_audit.DrawnAudit) -> matplotlib.figure.Figure:
  """Linkage: errors at all thresholds, scores, and rates beside chance.

  Raises:
    Missing: speakers were not measured.
  """
  part = audit.part(config.AuditPart.SPEAKERS)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 9.4), layout='constrained'
    )
    panels = figure.subplots(2, 2)
    _draw_errors(panels[0, 0], part)
    _draw_scores(panels[0, 1], part['linkage']['update']['trained'])
    _draw_rates(panels[1, 0], part, 'eer', 'equal error rate')
    _draw_rates(panels[1, 1], part, 'top1', 'right speaker is first')
    panels[1, 1].tick_params(labelleft=False)
    leakage.caption(figure, f'{_told(part)} {_CAPTION} {_DASHES}')
    return figure


def draw_attributes(
  audit: drawn_audit.DrawnAudit,
) -> matplotlib.figure.Figure:
  """What is told of sex and of speaking rate.

  Raises:
    Missing: speakers were not measured.
  """
  part = audit.part(config.AuditPart.SPEAKERS)
  found = part['attributes']
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 3.4), layout='constrained'
    )
    panels = figure.subplots(1, 3)
    for axes, name, key, title, form in (
      (panels[0], 'sex', 'balanced', 'sex', '{:.0%}'),
      (panels[1], 'rate', 'balanced', 'fast or slow', '{:.0%}'),
      (panels[2], 'rate', 'spearman', 'rate: rank correlation', '{:.2f}'),
    ):
      axes.set_title(title)
      if 'missing' in found[name]:
        dots.say(axes, found[name]['missing'])
      else:
        _draw_attribute(axes, found[name], key, form)
    for axes in panels[1:]:
      if axes.get_yticks().size:
        axes.tick_params(labelleft=False)
    leakage.caption(
      figure,
      f'{_told(part)} Right of {part["num_speakers"]} speakers, as a mean over '
      f'the two classes. {_CAPTION.partition(" Equal")[0]}',
    )
    return figure


def _told(part: Mapping[str, Any]) -> str:
  return (
    f'{part["num_speakers"]} speakers, two updates of '
    f'{part["num_utterances"]} utterances each.'
  )


def _draw_errors(axes: Any, part: Mapping[str, Any]) -> None:
  """False rejects against false accepts, by quantiles of the normal."""
  for name, methods in part['linkage'].items():
    for method, dashes in (('trained', '-'), ('cosine', (0, (2, 1.5)))):
      each = methods[method]
      rates = [
        scipy.stats.norm.ppf(np.clip(each[key], 0.003, 0.997))
        for key in ('false_accepts', 'false_rejects')
      ]
      axes.plot(
        *rates,
        color=_COLORS[name],
        linestyle=dashes,
      )
  ends = scipy.stats.norm.ppf([0.003, 0.997])
  axes.plot(ends, ends, ':', color=style.INK, linewidth=1.2, zorder=1)
  axes.plot(ends, -ends, '--', color=style.INK, linewidth=1.2, zorder=1)
  ticks = scipy.stats.norm.ppf(_RATES)
  for set_ticks in (axes.set_xticks, axes.set_yticks):
    set_ticks(ticks, [f'{rate:.0%}' for rate in _RATES], fontsize=9)
  axes.set_xlim(*ends)
  axes.set_ylim(*ends)
  axes.set_title('errors at each threshold')
  axes.set_xlabel('impostors accepted', fontsize=10)
  axes.set_ylabel('genuine pairs rejected', fontsize=10)


def _draw_scores(axes: Any, each: Mapping[str, Any]) -> None:
  genuine, impostor = each['genuine_scores'], each['impostor_scores']
  bins = np.histogram_bin_edges(np.concatenate([genuine, impostor]), 30)
  for values, label, color in (
    (impostor, f'{each["num_impostor"]:,} pairs of others', style.INK),
    (genuine, f'{each["num_genuine"]:,} of one speaker', style.BLUE),
  ):
    axes.hist(
      values,
      bins,
      color=color,
      alpha=0.6,
      label=label,
      weights=np.full(len(values), 1 / len(values)),
    )
  axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.set_title('scores of updates, trained')
  axes.legend(fontsize=9)


def _linked(part: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
  """(label, source, rates) of all that was linked."""
  for name, methods in part['linkage'].items():
    for method in ('trained', 'cosine'):
      yield f'{SOURCES[name]},\n{method}', name, methods[method]
  if 'missing' not in part['unseen']:
    for name, each in part['unseen'].items():
      yield f'{SOURCES[name]},\nnever trained on', name, each


def _draw_rates(
  axes: Any, part: Mapping[str, Any], key: str, title: str
) -> None:
  dots.draw(
    axes,
    [
      dots.Dot(
        label=label,
        value=each[key],
        interval=each[f'{key}_interval'],
        chance=each[f'{key}_chance'],
        color=_COLORS[name],
      )
      for label, name, each in _linked(part)
    ],
  )
  axes.set_xlim(-0.05, 1.05)
  axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  axes.set_title(title)


def _draw_attribute(
  axes: Any, found: Mapping[str, Any], key: str, form: str
) -> None:
  of = 'balanced_accuracy' if key == 'balanced' else key
  known = [
    (label, name)
    for name, label in SOURCES.items()
    if found[name][of] is not None
  ]
  if not known:
    dots.say(axes, 'guesses do not differ, so that they have no order')
    return
  dots.draw(
    axes,
    [
      dots.Dot(
        label=label,
        value=found[name][of],
        interval=found[name][f'{key}_interval'],
        chance=found[f'{key}_chance'],
        color=_COLORS[name],
      )
      for label, name in known
    ],
    form,
  )
  if key == 'balanced':
    axes.set_xlim(-0.05, 1.05)
    axes.set_xticks([0.0, 0.5, 1.0])
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
  else:
    axes.set_xlim(-1.1, 1.1)
    axes.set_xticks([-1, 0, 1])
