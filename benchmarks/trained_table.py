"""Tables of the records of `trained.py`, under one rule.

- Every utterance that was attacked counts: N. What was refused, or gave no
  frame, is a failure and inside medians, as worse than any score.
- Medians are over the N utterances of a line, all seeds together; that of
  missing frames is over those that are certified.
- Intervals are Wilson's, of 95%.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import attack

from fedjax_asr.attacks.measure import score_summary

Rows = Sequence[dict[str, Any]]
_PARTS = {
  'train': 'trained on',
  'heldout_speakers': 'held-out speakers',
  'heldout_utterances': 'held-out utterances',
  'out_of_domain': 'out of domain',
}


def tables(rows: Rows) -> str:
  """All of them, one after another."""
  return '\n\n'.join((by_round(rows), by_outcome(rows), by_knowledge(rows)))


def by_round(rows: Rows) -> str:
  """A line for each training, precision, round and part."""
  head = (
    'training',
    'products',
    'round',
    'victims',
    'N (seeds)',
    'failures in N',
    'certified',
    'whole',
    'SNR',
    'determined SNR',
    'frames missing',
    "the model's WER",
    'loss',
    'gradient norm',
    'seconds',
  )
  return markdown(
    head,
    [
      [
        *_named(of_it[0]),
        _count(of_it),
        str(sum(map(is_failure, of_it))),
        _share(of_it, 'is_certified'),
        _share(of_it, 'is_whole'),
        _median(of_it, 'snr_db', '{:.1f} dB'),
        _median(of_it, 'determined_snr_db', '{:.1f} dB'),
        _missing(of_it),
        _median(of_it, 'wer', '{:.0%}'),
        _median(of_it, 'loss', '{:.3g}'),
        _median(of_it, 'gradient_norm', '{:.2g}'),
        _median(of_it, 'seconds', '{:.1f}'),
      ]
      for of_it in _grouped(rows, _place)
    ],
  )


def by_outcome(rows: Rows) -> str:
  """What became of how many, by training, precision and part."""
  head = ('training', 'products', 'victims', 'outcome', 'utterances')
  body = []
  for of_it in _grouped(
    rows, lambda row: (row['training'], row['precision'], row['part'])
  ):
    training, products, _, part = _named(of_it[0])
    outcomes = collections.Counter(row['outcome'] for row in of_it)
    for name, count in outcomes.most_common():
      body.append([training, products, part, name, f'{count} of {len(of_it)}'])
  return markdown(head, body)


def by_knowledge(rows: Rows) -> str:
  """Utterances that the model transcribes without an error, and others."""
  head = (
    'training',
    'products',
    'the model',
    'N (seeds)',
    'certified',
    'whole',
    'SNR',
    'gradient norm',
  )
  body = []
  for of_it in _grouped(
    [row for row in rows if row['wer'] is not None],
    lambda row: (row['training'], row['precision'], row['wer'] > 0),
  ):
    knows = 'makes an error' if of_it[0]['wer'] > 0 else 'makes none'
    body.append(
      [
        *_named(of_it[0])[:2],
        knows,
        _count(of_it),
        _share(of_it, 'is_certified'),
        _share(of_it, 'is_whole'),
        _median(of_it, 'snr_db', '{:.1f} dB'),
        _median(of_it, 'gradient_norm', '{:.2g}'),
      ]
    )
  return markdown(head, body)


def is_failure(row: dict[str, Any]) -> bool:
  """No frame was found."""
  return row['snr_db'] is None


def _place(row):
  names = ('training', 'precision', 'round', 'part')
  return tuple(row[name] for name in names)


def _grouped(rows: Rows, key: Callable[[dict[str, Any]], tuple]) -> list[Rows]:
  groups: dict[tuple, list[dict[str, Any]]] = {}
  for row in rows:
    groups.setdefault(key(row), []).append(row)
  return [groups[name] for name in sorted(groups)]


def _named(row) -> list[str]:
  part = _PARTS.get(row['part'], row['part'])
  return [row['training'], row['precision'], str(row['round']), part]


def _count(rows: Rows) -> str:
  seeds = {row['seed'] for row in rows}
  return f'{len(rows)} ({len(seeds)})'


def _share(rows: Rows, name: str) -> str:
  found = attack.share(sum(row[name] for row in rows), len(rows))
  low, high = (round(100 * each) for each in found['interval'])
  return f'{found["count"]} ({low} to {high}%)'


def _median(rows: Rows, name: str, form: str) -> str:
  worst = float('-inf') if name.endswith('snr_db') else float('inf')
  middle = score_summary.median([row[name] for row in rows], worst)
  return '-' if middle is None else form.format(middle)


def _missing(rows: Rows) -> str:
  """Of what is certified, as its truth says."""
  missing = [row['missing'] for row in rows if row['is_certified']]
  if not missing:
    return '-'
  middle = score_summary.median(missing)
  return f'{middle:g}, at most {max(missing)}, of {len(missing)}'


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
  lines = [head, ['---'] * len(head), *body]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
