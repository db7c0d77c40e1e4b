"""Trains configs/algorithms.py, an algorithm and a seed at a time, and says how
they compare.

  python benchmarks/algorithms.py RESULT.json --config=configs/algorithms.py
      [--jobs=N] [flags of main]
  python benchmarks/algorithms.py RESULT.json --table
  python benchmarks/algorithms.py TUNING.json --chosen

Each point of the config's `sweep()` is trained and then evaluated by speaker.
RESULT.json gets a row as soon as one is done; points that it has are not run
again. The table has, over seeds, the mean and the 95% interval (Student's t) of
the WER on held-out speakers, of how far it is above FedAdam's of the same seed,
of the WER on held-out sentences of training speakers, of its worst tenth of
them, and of both by the models that clients keep of their own; and rounds, and
virtual hours, to 20% WER on held-out speakers (median of the runs that came
there, and how many did).

--chosen says, for each algorithm of configs/algorithms.py:tuning, which point
has the lowest WER: on held-out speakers, or, where clients keep models, of
those models on held-out sentences.
"""

import json
import math
import pathlib
import statistics
import sys
from collections.abc import Iterable, Sequence

import numpy as np
import student
import sweep

from fedjax_asr import config, run_files, run_log
from fedjax_asr import saved_run as saved_runs
from fedjax_asr.decoding import evaluation, scores
from fedjax_asr.jobs import evaluated_set, run_memory

REFERENCE = 'fedadam'
# At which a recogniser of commands begins to be of use.
USEFUL_WER = 0.2


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  for flag, shown in (('--table', table), ('--chosen', choices)):
    if flag in argv:
      print(shown(json.loads(result.read_text())['points']))
      return 0
  return sweep.trained('algorithms.py', argv, of_run)


def of_run(workdir: pathlib.Path) -> dict:
  """How sentences of training speakers are heard, and when the run was of use.

  `own` is by the models that clients keep: None where they keep none, or are
  not speakers.
  """
  saved = saved_runs.load(workdir, 'run')
  held_out = evaluated_set.load(
    config.Subset.HELDOUT_UTTERANCES,
    'subset',
    saved.config.data,
    saved,
    lambda done, total: None,
  ).examples
  recognizer = evaluation.decoded_greedily(saved.acoustic)

  def heard(params, norm_state, positions=None):
    evaluator = evaluation.Evaluator(
      recognizer, held_out, saved.config.evaluation, positions
    )
    return evaluator(params, norm_state).transcripts

  return {
    'shared': _rates(heard(saved.params, saved.norm_state)),
    'own': _rates(_by_own_models(saved, held_out, heard)),
    'virtual_time': useful_time(
      run_log.read_metrics(run_files.RunFiles(workdir).metrics)
    ),
  }


def _by_own_models(saved, held_out, heard) -> list[scores.Transcript]:
  """What each client's own model hears of its speaker."""
  if saved.config.federated.partition is not config.Partition.SPEAKER:
    return []
  positions: dict[str, list[int]] = {}
  for position, speaker in enumerate(held_out.speakers):
    positions.setdefault(speaker, []).append(position)
  personal = run_memory.personal_models(saved)
  transcripts = []
  for speaker, chosen in positions.items():
    kept = personal(speaker)
    if kept is not None:
      transcripts += heard(*kept, np.array(chosen))
  return transcripts


def _rates(transcripts: list[scores.Transcript]) -> dict | None:
  if not transcripts:
    return None
  by_speaker = scores.score_speakers(transcripts)
  return {
    'wer': scores.score(transcripts).wer,
    'worst_decile': scores.worst_decile(by_speaker).wer,
    'speakers': len(by_speaker),
  }


def useful_time(rounds: list[dict]) -> float | None:
  """Virtual seconds until the WER was useful, None if it never was."""
  for each in rounds:
    if (each.get('eval/wer') or math.inf) <= USEFUL_WER:
      return each.get('virtual_time')
  return None


def table(points: list[dict]) -> str:
  """Rows in Markdown, an algorithm each, the lowest WER first."""
  groups = by_name(points)
  ranked = sorted(groups.items(), key=lambda item: mean_wer(item[1]))
  lines = [
    '| algorithm | seeds | WER, new speakers | above FedAdam | worst seed '
    '| WER, training speakers | worst tenth of them | by own models '
    '| worst tenth | rounds to 20% | virtual hours to 20% |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  for name, rows in ranked:
    shared, own = ([row[by] for row in rows] for by in ('shared', 'own'))
    cells = [
      name,
      str(len(rows)),
      student.interval(_wers(rows)),
      _above(rows, groups.get(REFERENCE, ())),
      f'{max(_wers(rows)):.1%}',
      *(_intervals(by, of) for by in (shared, own) for of in _RATES),
      _median(map(_useful_round, rows)),
      _median(_hours(row['virtual_time']) for row in rows),
    ]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


_RATES = ('wer', 'worst_decile')


def choices(points: list[dict]) -> str:
  """The points that `_CHOSEN` of configs/algorithms.py should have, and all."""
  lines = []
  for name, rows in by_name(points).items():
    best = chosen(rows)
    for row in sorted(rows, key=criterion):
      settings = ', '.join(
        f'{field.removeprefix("federated.")}={value}'
        for field, value in row['point'].items()
        if len({json.dumps(each['point'].get(field)) for each in rows}) > 1
      )
      mark = '**' if row is best else ''
      lines.append(
        f'| {name} | {mark}{settings}{mark} | {row["final"]["eval/wer"]:.1%} '
        f'| {criterion(row):.1%} |'
      )
  head = '| algorithm | settings | WER, new speakers | by which it is chosen |'
  return '\n'.join([head, '|---|---|---|---|', *lines])


def chosen(rows: list[dict]) -> dict:
  """Of one algorithm."""
  return min(rows, key=criterion)


def criterion(row: dict) -> float:
  return row['own']['wer'] if row['own'] else row['final']['eval/wer']


def mean_wer(rows: list[dict]) -> float:
  """On held-out speakers, over seeds."""
  return _mean(_wers(rows))


def by_name(points: list[dict]) -> dict[str, list[dict]]:
  """Rows of each algorithm."""
  groups: dict[str, list[dict]] = {}
  for row in points:
    groups.setdefault(row['point']['name'], []).append(row)
  return groups


def _intervals(rates: list[dict | None], name: str) -> str:
  there = [each[name] for each in rates if each]
  return student.interval(there) if there else '-'


def _above(rows: list[dict], reference: Sequence[dict]) -> str:
  """The interval of the difference between runs of the same seed."""
  theirs = {row['point']['seed']: row['final']['eval/wer'] for row in reference}
  more = [
    row['final']['eval/wer'] - theirs[row['point']['seed']]
    for row in rows
    if row['point']['seed'] in theirs
  ]
  return student.interval(more) if more and rows is not reference else '-'


def _useful_round(row: dict) -> int | None:
  numbers = (
    int(number)
    for number, wer in row['wer_by_round'].items()
    if wer <= USEFUL_WER
  )
  return min(numbers, default=None)


def _hours(seconds: float | None) -> float | None:
  return None if seconds is None else round(seconds / 3600, 3)


def _median(found: Iterable[float | None]) -> str:
  """Of those that came there, and how many of all did."""
  found = list(found)
  there = [number for number in found if number is not None]
  if not there:
    return 'never'
  return f'{statistics.median(there):g} ({len(there)} of {len(found)})'


def _wers(rows: list[dict]) -> list[float]:
  return [row['final']['eval/wer'] for row in rows]


def _mean(values: list[float]) -> float:
  return statistics.mean(values)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
