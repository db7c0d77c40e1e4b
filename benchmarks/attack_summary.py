"""What the records of an attack come to, under one rule.

- Of each utterance, an attacker goes by what is certified whole, or else
  certified, or else any reconstruction. What all methods refused is inside
  medians, as worse than any score.
- Intervals are of 95%, and of *updates*, as utterances of one batch stand or
  fall together: Wilson's of the fraction of updates of which all utterances
  are certified, and of medians by a bootstrap over updates.
- "Least" is over everything that is certified, whole or not.
- Seconds are an update's, of all methods that were tried on it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import attack
import numpy as np

from fedjax_asr.attacks.measure import score_summary

Records = Sequence[dict[str, Any]]


class Median(NamedTuple):
  """With its interval; None is a failure."""

  middle: float | None
  low: float | None
  high: float | None


class Certified(NamedTuple):
  """How much of an attack its certificates vouch for."""

  count: int  # Of utterances.
  updates: int  # All of whose utterances are.
  interval: tuple[float, float]  # Of the fraction of updates.
  whole: int | None  # Of utterances; None where certificates did not tell.
  true_length: int  # Of utterances, by the truth.
  least: float | None  # SNR in dB.
  least_determined: float | None  # The same, of what is determined alone.


class Summary(NamedTuple):
  """Of all utterances of an attack."""

  num_utterances: int
  num_updates: int
  certified: Certified
  snr: Median  # In dB.
  median_seconds: float
  most_seconds: float
  wer: float | None  # Mean; of the victim's model on exact reconstructions.


def summary(records: Records) -> Summary:
  """Of the records of one file, by one method or several."""
  best = [
    score_summary.read(record) for record in score_summary.believed([*records])
  ]
  victims = [each['victim'] for each in best]
  snr = attack.quantiles([each['snr_db'] for each in best], victims=victims)
  seconds = list(seconds_of_updates(records).values())
  heard = _known(filter(_has_true_length, best), 'wer')
  return Summary(
    num_utterances=len(best),
    num_updates=len(seconds),
    certified=_certified(best),
    snr=Median(snr['median'], *snr['median_interval']),
    median_seconds=float(np.median(seconds)),
    most_seconds=max(seconds),
    wer=float(np.mean(heard)) if heard else None,
  )


def _certified(best: Records) -> Certified:
  certified = [each for each in best if each['is_certified']]
  whole = [each['is_whole'] for each in certified if 'is_whole' in each]
  share = attack.share_by_update(
    [each['is_certified'] for each in best], [each['victim'] for each in best]
  )
  low, high = share['interval']
  return Certified(
    count=len(certified),
    updates=share['updates'],
    interval=(low, high),
    whole=sum(whole) if len(whole) == len(certified) else None,
    true_length=sum(map(_has_true_length, certified)),
    least=min(_known(certified, 'snr_db'), default=None),
    least_determined=min(_known(certified, 'determined_snr_db'), default=None),
  )


def _has_true_length(record: dict[str, Any]) -> bool:
  is_right = record['num_frames'] == record['num_frames_found']
  return record['is_certified'] and is_right


def _known(records, name: str) -> list[float]:
  values = (record.get(name) for record in records)
  return [value for value in values if value is not None]


def seconds_of_updates(records: Records) -> dict[str, float]:
  """By update; each utterance of one holds all the seconds of its method."""
  tried = {
    (record['victim'], record['method']): record['seconds']
    for record in records
  }
  updates: dict[str, float] = {}
  for (victim, _), seconds in tried.items():
    updates[victim] = updates.get(victim, 0.0) + seconds
  return updates
