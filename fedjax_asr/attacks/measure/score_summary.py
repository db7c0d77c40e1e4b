"""Scores of several utterances, of which a method may have refused some.

The rule everywhere: a failure is inside a median, as worse than any score.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

REFUSED = 'refused'
# What a record of `attack.json` says of a reconstruction.
_OF_FOUND = (
  'snr_db',
  'determined_snr_db',
  'shape_snr_db',
  'mae',
  'correlation',
  'best_lag_correlation',
  'lag_frames',
  'mcd_db',
  'heard',
  'cer',
  'wer',
)


def read(record: dict[str, Any]) -> dict[str, Any]:
  """A record of `attack.json`, without scores where there is nothing to score.

  Earlier versions wrote 0 there, which reads like a measurement.
  """
  if is_found(record):
    return record
  return record | {name: None for name in _OF_FOUND if name in record}


def is_found(record: dict[str, Any]) -> bool:
  """Whether the method gave any frames of this utterance."""
  return not record['refused'] and record['num_frames_found'] > 0


def believed(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """Of each utterance, what an attacker goes by after all methods: what is
  certified, rather whole than in part, or else any reconstruction."""
  best: dict[tuple[str, str], dict[str, Any]] = {}
  for record in records:
    # Each was an update of its own in earlier versions.
    name = record.get('victim', ''), record['utterance']
    kept = best.get(name)
    if kept is None or _rank(record) > _rank(kept):
      best[name] = record
  return list(best.values())


def _rank(record: dict[str, Any]) -> tuple[bool, bool, bool]:
  is_whole = record.get('is_whole', False)
  return record['is_certified'], is_whole, not record['refused']


def median(
  values: Sequence[float | None], worst: float = -math.inf
) -> float | None:
  """The median with failures (None) inside; None where it falls on one.

  So it does where half of the values or more are None. `worst` is `math.inf`
  for what is better the smaller it is.
  """
  middle = statistics.median(
    worst if value is None else value for value in values
  )
  return middle if math.isfinite(middle) else None


def shown(value: float | None, form: str) -> str:
  """The value as `form` has it, such as '{:.1f} dB', or 'refused'."""
  return REFUSED if value is None else form.format(value)
