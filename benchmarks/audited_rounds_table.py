"""A Markdown table of a record of `audited_rounds.py`."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedjax_asr.figures import measured_values

_NOTHING = '-'
_HEAD = (
  'multiplier',
  'seed',
  'round',
  'WER',
  'epsilon, extrapolated',
  'proven by canaries',
  'membership by loss, AUC',
  'TPR at 1% FPR',
  'speakers, equal error rate',
  'SNR of the median',
  'whole',
)


def table(points: Sequence[Mapping[str, Any]]) -> str:
  """A line a round; what was not measured of it is a dash, and what was not of
  any is no column."""
  rows = [
    (
      f'{row["noise_multiplier"]:g}',
      str(row['seed']),
      str(row['round']),
      *_cells(measured_values.of(row)),
    )
    for row in sorted(
      points,
      key=lambda row: (row['noise_multiplier'], row['seed'], row['round']),
    )
  ]
  kept = [
    index
    for index in range(len(_HEAD))
    if any(row[index] != _NOTHING for row in rows)
  ]
  lines = [[row[index] for index in kept] for row in (_HEAD, *rows)]
  lines.insert(1, ['---'] * len(kept))
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cells(values: Mapping[str, measured_values.Value]) -> list[str]:
  loss = 'utterances/loss'
  return [
    _cell(values.get(key), form)
    for key, form in (
      ('wer', '{:.1%}'),
      ('extrapolated_epsilon', '{:.3g}'),
      ('proven', '{:.2f}'),
      (f'auc/{loss}', '{:.3f}'),
      (f'tpr/{loss}', '{:.1%}'),
      ('eer/update', '{:.1%}'),
      ('snr', '{:.1f} dB'),
      ('whole', '{:.0%}'),
    )
  ]


def _cell(value: measured_values.Value | None, form: str) -> str:
  if value is None:
    return _NOTHING
  if value.value == float('-inf'):
    return 'refused'
  told = form.format(value.value)
  if value.interval is None or None in value.interval:
    return told
  low, high = (form.format(each) for each in value.interval)
  return f'{told} [{low}, {high}]'
