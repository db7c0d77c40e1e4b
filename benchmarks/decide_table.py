"""What rows of `decide.py` come to: a summary of each point, verdict, table.

An attacker that does not apply to a point is not one that failed on it: it is
in no count.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import attack
import decide_rows
import student

# Of an utterance of the right length, from which on it counts as whole.
WHOLE_DB = 20.0
# Correlation from which on speech came out, whatever its scale.
HEARD = 0.5
# Attackers that want speech, fewer than which say nothing.
_FEWEST = 2
# A refusal of these says that a condition of theirs does not hold; that of the
# others, that they found nothing.
_REFUSE_WHAT_DOES_NOT_APPLY = ('adaptive', 'matching')
_MEASURED = 'measured'
_NOT_APPLIED = 'does not apply'
_NO_RESULT = 'no result'
_EPSILONS = (
  (('extrapolated_epsilon_pld', 'extrapolated_epsilon_rdp'), ', extrapolated'),
  (('epsilon_pld', 'epsilon_rdp'), ''),
  (('local_epsilon',), ', local'),
)
_KEY = ('defence', 'point', 'seed')


def key(row: dict[str, Any]) -> str:
  """Of a row among those of its kind."""
  return repr([row[name] for name in _KEY] + [row.get('attacker')])


def summary(
  rows: Sequence[dict[str, Any]], trainings: Sequence[dict[str, Any]]
) -> dict[str, Any]:
  """Of one point, over its seeds; with what the figures of defences draw.

  `certified` and `snr_db` are of the strongest attacker that wants speech;
  `wer`, where trained, the mean over seeds.
  """
  first = (*rows, *trainings)[0]
  attackers = {
    name: _attacker(name, own)
    for name in decide_rows.ATTACKERS
    if (own := [row for row in rows if row['attacker'] == name])
  }
  point = {
    'defence': first['defence'],
    'point': first['point'],
    'attackers': attackers,
    'verdict': verdict(attackers),
    'strongest': strongest(attackers),
  }
  speech = _of_speech(attackers)
  if speech:
    best = attackers[max(speech, key=lambda name: _strength(speech[name]))]
    point |= {'certified': best['certified'], 'snr_db': best['snr_db']}
  done = [row for row in trainings if not row['error']]
  point['trainings_failed'] = len(trainings) - len(done)
  if done:
    point['wers'] = [row['wer'] for row in done]
    point['wer'] = statistics.mean(point['wers'])
    point['privacy'] = done[0]['privacy']
  return point


def _attacker(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
  if name == decide_rows.SPEAKERS:
    return _speakers(rows)
  errors = sorted({row['error'] for row in rows} - {''})
  utterances = [
    each | {'update': f'{row["seed"]} {each["victim"]}'}
    for row in rows
    for each in row['utterances']
  ]
  if not utterances:
    return {'state': _NO_RESULT, 'reason': '; '.join(errors)}
  reasons = sorted({each['refused'] for each in utterances} - {''})
  if name in _REFUSE_WHAT_DOES_NOT_APPLY and all(
    each['refused'] for each in utterances
  ):
    return {'state': _NOT_APPLIED, 'reason': '; '.join(reasons)}
  return {
    'state': _MEASURED,
    'reason': '; '.join(reasons),
    'errors': errors,
    'updates_asked': sum(row['victims_asked'] for row in rows),
    **_scores(utterances),
    'speaker_top1': _mean_top1(rows),
  }


def _scores(utterances: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Failures inside, as worse than any score; intervals by updates."""
  updates = [each['update'] for each in utterances]

  def of(values: Iterable[float | None], worst: float = -math.inf) -> Any:
    return attack.quantiles(list(values), worst, updates)

  return {
    'num_utterances': len(utterances),
    'num_updates': len(set(updates)),
    'num_refused': sum(each['snr_db'] is None for each in utterances),
    'num_whole': sum(map(is_whole, utterances)),
    'num_heard': sum(map(is_heard, utterances)),
    'certified': attack.share(
      sum(each['is_certified'] for each in utterances), len(utterances)
    ),
    'snr_db': of(each['snr_db'] for each in utterances),
    'gain_db': of(map(_gain, utterances)),
    'public_snr_db': of(each['public_snr_db'] for each in utterances),
    'correlation': of(each['correlation'] for each in utterances),
    'mcd_db': of((each['mcd_db'] for each in utterances), math.inf),
  }


def is_whole(utterance: dict[str, Any]) -> bool:
  """By its certificate, or by the truth."""
  if utterance['is_whole']:
    return True
  is_long = utterance['num_frames'] == utterance['num_frames_found']
  return is_long and (utterance['snr_db'] or 0.0) >= WHOLE_DB


def is_heard(utterance: dict[str, Any]) -> bool:
  """Whether more came out than a guess can share with any utterance."""
  return (utterance['correlation'] or 0.0) >= HEARD


def _gain(utterance: dict[str, Any]) -> float | None:
  """Over the mean of public speech as a guess."""
  if utterance['snr_db'] is None:
    return None
  return utterance['snr_db'] - utterance['public_snr_db']


def _mean_top1(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
  found = [row['speaker_top1'] for row in rows if row['speaker_top1']]
  return {
    name: statistics.mean(each[name] for each in found if name in each)
    for name in dict.fromkeys(name for each in found for name in each)
  }


def _speakers(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """The back-end with the lower mean error; over the seeds, from the least end
  of their intervals to the greatest."""
  done = [row for row in rows if row.get('linkage')]
  if not done:
    refused = sorted({row['refused'] for row in rows} - {''})
    errors = sorted({row['error'] for row in rows} - {''})
    return {
      'state': _NOT_APPLIED if refused else _NO_RESULT,
      'reason': '; '.join(refused or errors),
    }
  methods = {
    name: statistics.mean(row['linkage'][name]['eer'] for row in done)
    for name in done[0]['linkage']
  }
  method = min(methods, key=lambda name: methods[name])
  found = [row['linkage'][method] for row in done]
  return {
    'state': _MEASURED,
    'reason': '',
    'method': method,
    'num_seeds': len(done),
    'eer': methods[method],
    'eer_interval': [
      min(each['eer_interval'][0] for each in found),
      max(each['eer_interval'][1] for each in found),
    ],
    'top1': statistics.mean(each['top1'] for each in found),
    'top1_chance': statistics.mean(each['top1_chance'] for each in found),
  }


def _of_speech(attackers: dict[str, Any]) -> dict[str, Any]:
  """Those that want speech and apply."""
  return {
    name: each
    for name, each in attackers.items()
    if name != decide_rows.SPEAKERS and each['state'] == _MEASURED
  }


def _linked(attackers: dict[str, Any]) -> bool | None:
  """None where linkage was not measured."""
  found = attackers.get(decide_rows.SPEAKERS, {'state': _NO_RESULT})
  if found['state'] != _MEASURED:
    return None
  return found['eer_interval'][1] < 0.5


def verdict(attackers: dict[str, Any]) -> str:
  """The rule of docs/attacks.md, in one word or few; never that all is well."""
  speech = _of_speech(attackers)
  if any(
    2 * each['num_whole'] >= each['num_utterances'] for each in speech.values()
  ):
    return 'open'
  if any(map(_leaks, speech.values())):
    return 'leaks'
  linked = _linked(attackers)
  if linked:
    return 'links'
  count = len(speech) + (linked is not None)
  if not count:
    return 'not attacked'
  if len(speech) < _FEWEST:
    return f'hardly attacked ({count})'
  return f'not broken by {count} attackers'


def _leaks(found: dict[str, Any]) -> bool:
  low = found['gain_db']['median_interval'][0]
  is_better = low is not None and low > 0
  return bool(found['num_whole'] or found['num_heard'] or is_better)


def strongest(attackers: dict[str, Any]) -> str:
  """Of those that got anything; '' where none did."""
  speech = {
    name: each for name, each in _of_speech(attackers).items() if _leaks(each)
  }
  if speech:
    return max(speech, key=lambda name: _strength(speech[name]))
  return decide_rows.SPEAKERS if _linked(attackers) else ''


def _strength(found: dict[str, Any]) -> tuple[float, float, float]:
  """By whole utterances, by the median's gain, and by what came out in part."""
  total, gain = found['num_utterances'], found['gain_db']['median']
  return (
    found['num_whole'] / total,
    -math.inf if gain is None else gain,
    found['num_heard'] / total,
  )


def table(points: Sequence[dict[str, Any]]) -> str:
  """Markdown, a line a point; a dash where nothing was measured."""
  head = [
    'defence',
    'point',
    *decide_rows.ATTACKERS,
    'public mean',
    'strongest',
    'verdict',
    'WER',
    'epsilon',
  ]
  lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
  for point in points:
    attackers = point['attackers']
    cells = [
      point['defence'],
      _named(point['point']),
      *(_cell(name, attackers) for name in decide_rows.ATTACKERS),
      _public(attackers),
      point['strongest'] or 'none',
      f'**{point["verdict"]}**',
      _wer(point),
      _epsilon(point['privacy']) if 'privacy' in point else '-',
    ]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


def _named(point: dict[str, Any]) -> str:
  values = {name.rpartition('.')[2]: value for name, value in point.items()}
  return ', '.join(f'{name} {value}' for name, value in values.items())


def _cell(name: str, attackers: dict[str, Any]) -> str:
  found = attackers.get(name)
  if found is None:
    return '-'
  if found['state'] != _MEASURED:
    return found['state']
  if name == decide_rows.SPEAKERS:
    low, high = found['eer_interval']
    return f'EER {found["eer"]:.1%} ({low:.1%} to {high:.1%})'
  return (
    f'{_decibels(found["snr_db"])}; {found["num_whole"]} whole, '
    f'{found["num_heard"]} heard, {found["num_refused"]} refused of '
    f'{found["num_utterances"]}{_missing(found)}'
  )


def _decibels(found: dict[str, Any]) -> str:
  if found['median'] is None:
    return 'refused'
  low, high = (
    'refused' if end is None else f'{end:.1f}'
    for end in found['median_interval']
  )
  return f'{found["median"]:.1f} dB ({low} to {high})'


def _missing(found: dict[str, Any]) -> str:
  """Of updates that were to be attacked, those that were not."""
  left = found['updates_asked'] - found['num_updates']
  return f' ({left} updates not attacked)' if left else ''


def _public(attackers: dict[str, Any]) -> str:
  values = [
    each['public_snr_db']['median'] for each in _of_speech(attackers).values()
  ]
  return f'{values[0]:.1f} dB' if values else '-'


def _wer(point: dict[str, Any]) -> str:
  failed = point['trainings_failed']
  if 'wers' not in point:
    return _NO_RESULT if failed else '-'
  shown = student.interval(point['wers'])
  return f'{shown} ({failed} failed)' if failed else shown


def _epsilon(privacy: dict[str, float | None]) -> str:
  """What the accountant told of the last round; the extrapolated one first, and
  by RDP where PLD has none that is finite."""
  for names, said in _EPSILONS:
    values = [privacy[name] for name in names if name in privacy]
    if values:
      finite = next((value for value in values if value is not None), None)
      return f'none{said}' if finite is None else f'{finite:.3g}{said}'
  return 'none'
