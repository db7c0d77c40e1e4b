"""What was measured of a run, by the names under which figures draw it.

Of a row of a record (`decision_points` has its fields) `of` gives

  wer; epsilon, extrapolated_epsilon: the lower of PLD and RDP.
  proven, estimated: epsilons by canaries; bug/NAME: proven with it planted.
  auc/KIND/SCORE, tpr/KIND/SCORE: of membership, the latter at a FPR of 1%.
  eer/SOURCE: of two updates of one speaker, by the trained back-end.
  snr: of the median utterance that was attacked, in dB; -inf: nothing.
  whole: the share of utterances that came out whole.

and nothing under the name of what was not measured.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.figures import intervals


class Value(NamedTuple):
  """interval: as the audit or the attack gives it; None where it has none, and
  an end is None where it falls on a failure."""

  value: float
  interval: tuple[float | None, float | None] | None = None


def of(row: Mapping[str, Any]) -> dict[str, Value]:
  """Raises KeyError, TypeError, ValueError or AttributeError for a row of
  another form."""
  values: dict[str, Value] = {}
  if row.get('wer') is not None:
    values['wer'] = Value(float(row['wer']))
  values |= _epsilons(row.get('epsilon') or {})
  audit = row.get('audit') or {}
  for part, values_of in (
    ('canaries', _proven),
    ('membership', _memberships),
    ('speakers', _linked),
  ):
    found = audit.get(part)
    if found and 'missing' not in found:
      values |= values_of(found)
  for bug, found in (row.get('bugs') or {}).items():
    if found:
      values[f'bug/{bug}'] = Value(found['proven'])
  attacked = row.get('attack')
  attack = of_records(attacked) if isinstance(attacked, list) else attacked
  return values | (_recovered(attack) if attack else {})


def of_records(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
  """The median SNR of an attack's records with its 95% interval, refusals
  inside, and how many are certified and whole; None: it did not finish.

  `whole` is None of records of versions that did not say so.
  """
  if not records:
    return None
  records = score_summary.believed(records)
  snr = [record['snr_db'] for record in records]
  clusters = [record.get('victim', record['utterance']) for record in records]
  interval = intervals.median(snr, clusters)
  is_whole = [each.get('is_whole') for each in records]
  return {
    'snr_db': score_summary.median(snr),
    'interval': list(interval.finite()) if interval else None,
    'certified': sum(bool(each['is_certified']) for each in records),
    'whole': None if None in is_whole else is_whole.count(True),
    'total': len(records),
  }


def _epsilons(epsilon: Mapping[str, Any]) -> dict[str, Value]:
  values = {}
  for prefix in ('', 'extrapolated_'):
    known = [
      float(epsilon[name])
      for name in (f'{prefix}epsilon_pld', f'{prefix}epsilon_rdp')
      if epsilon.get(name) is not None
    ]
    if known:
      values[f'{prefix}epsilon'] = Value(min(known))
  return values


def _proven(part: Mapping[str, Any]) -> dict[str, Value]:
  found = {'proven': Value(part['proven'])}
  for name, score in part['scores'].items():
    estimate = score.get('gaussian')
    if name == 'final_cosine' and estimate:
      found['estimated'] = Value(
        estimate['epsilon'], (estimate['low'], estimate['high'])
      )
  return found


def _memberships(part: Mapping[str, Any]) -> dict[str, Value]:
  found = {}
  for kind in ('utterances', 'speakers', 'updates'):
    for name, each in part[kind].get('scores', {}).items():
      if 'missing' in each:
        continue
      found[f'auc/{kind}/{name}'] = Value(
        each['auc'], tuple(each['auc_interval'])
      )
      for low in each['tpr_at_fpr']:
        if low['fpr'] == 0.01 and low['tpr'] is not None:
          found[f'tpr/{kind}/{name}'] = Value(
            low['tpr'], tuple(low['interval'])
          )
  return found


def _linked(part: Mapping[str, Any]) -> dict[str, Value]:
  """The lower of two methods is not chosen by what it gives: `trained`."""
  return {
    f'eer/{source}': Value(
      methods['trained']['eer'], tuple(methods['trained']['eer_interval'])
    )
    for source, methods in part['linkage'].items()
  }


def _recovered(attack: Mapping[str, Any]) -> dict[str, Value]:
  """Nothing found is worse than any SNR."""
  snr, ends = attack['snr_db'], attack.get('interval')
  values = {
    'snr': Value(
      float('-inf') if snr is None else float(snr),
      (ends[0], ends[1]) if ends else None,
    )
  }
  whole, total = attack.get('whole'), attack.get('total')
  if whole is not None and total:
    low, high = intervals.share(whole, total)
    values['whole'] = Value(whole / total, (low, high))
  return values
