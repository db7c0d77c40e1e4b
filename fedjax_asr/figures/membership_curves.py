"""Who a run was trained on, as each score tells it."""

from collections.abc import Mapping
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import config
from fedjax_asr.figures import dots, drawn_audit, leakage, style

PARTS = (
  ('utterances', 'utterances'),
  ('speakers', 'speakers, by what was trained on'),
  ('speakers_by_other_speech', 'speakers, by other speech of theirs'),
  ('updates', 'utterances, by an update'),
)
NAMES = {
  'loss': 'loss',
  'loss_per_label': 'loss per label',
  'perturbed_loss': 'loss under noise',
  'lira': 'LiRA',
  'rmia': 'RMIA',
  'same_speaker': "the speaker's speech",
  'others': "others' speech",
}
_CAPTION = (
  'Above the dotted line an attack is better than a guess. Marks: members that '
  'are found at false positive rates of 0.1% and 1%, with the interval, where '
  'there are enough non-members to tell.'
)


def draw(audit: drawn_audit.DrawnAudit) -> matplotlib.figure.Figure:
  """A panel for each kind of member, with logarithmic axes.

  Raises:
    Missing: membership was not measured.
  """
  part = audit.part(config.AuditPart.MEMBERSHIP)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 10.0), layout='constrained'
    )
    for axes, (name, title) in zip(
      figure.subplots(2, 2).flat, PARTS, strict=True
    ):
      _draw(axes, title, part[name])
    leakage.caption(figure, _CAPTION + _said(part))
    return figure


def _draw(axes: Any, title: str, part: Mapping[str, Any]) -> None:
  axes.set_title(title)
  if 'missing' in part:
    dots.say(axes, part['missing'])
    return
  scores = part['scores']
  known = {name: each for name, each in scores.items() if 'missing' not in each}
  if not known:
    dots.say(axes, '; '.join(each['missing'] for each in scores.values()))
    return
  rates = [_least(known, key) for key in ('num_nonmembers', 'num_members')]
  for index, (name, each) in enumerate(known.items()):
    _draw_score(axes, index, NAMES[name], each)
  guess = np.geomspace(min(rates), 1, 50)
  axes.plot(guess, guess, ':', color=style.INK, linewidth=1.4)
  axes.set_xscale('log')
  axes.set_yscale('log')
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(
      matplotlib.ticker.FuncFormatter(lambda value, _: f'{100 * value:g}%')
    )
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
  axes.set_xlim(rates[0], 1.05)
  axes.set_ylim(rates[1], 1.3)
  others = _counts(known, 'num_nonmembers')
  axes.set_xlabel(f'false positives, of {others}', fontsize=10)
  members = _counts(known, 'num_members')
  axes.set_ylabel(f'found, of {members} members', fontsize=10)
  axes.tick_params(labelsize=10)
  # Below, where no curve runs through it.
  axes.legend(
    fontsize=9,
    loc='upper left',
    bbox_to_anchor=(0, -0.16),
    handlelength=3.5,
  )


def _counts(scores: Mapping[str, Any], key: str) -> str:
  """Of all scores; some are of other non-members."""
  counts = sorted({each[key] for each in scores.values()})
  return ' or '.join(f'{count:,}' for count in counts)


def _least(scores: Mapping[str, Any], key: str) -> float:
  """The power of ten below which so few tell nothing."""
  return 10.0 ** np.floor(np.log10(0.99 / max(s[key] for s in scores.values())))


def _draw_score(
  axes: Any, index: int, name: str, score: Mapping[str, Any]
) -> None:
  look = style.line(index)
  low, high = score['auc_interval']
  fpr, tpr = (np.array(score['roc'][key]) for key in ('fpr', 'tpr'))
  axes.plot(
    fpr,
    tpr,
    color=look['color'],
    linestyle=look['linestyle'],
    drawstyle='steps-post',
    label=f'{name}: AUC {score["auc"]:.2f} ({low:.2f} to {high:.2f})',
  )
  for each in score['tpr_at_fpr']:
    if each['tpr'] is None:
      continue
    # Beside one another, where the scores are many.
    place = each['fpr'] * 1.12 ** (index - 1)
    axes.vlines(
      place, *each['interval'], color=look['color'], linewidth=4, alpha=0.35
    )
    axes.plot(
      place,
      each['tpr'],
      look['marker'],
      color=look['color'],
      markersize=6,
      zorder=4,
    )


def _said(part: Mapping[str, Any]) -> str:
  if part['shadows_missing']:
    return f' No shadow models: {part["shadows_missing"]}.'
  return (
    f' LiRA and RMIA: by {part["num_shadows"]} and, of speakers, '
    f'{part["num_speaker_shadows"]} shadow trainings of '
    f'{part["num_rounds"]} rounds.'
  )
