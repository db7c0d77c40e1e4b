"""Runs an attack and records what it found, with intervals.

  python benchmarks/attack.py RESULT.json [--again] --config=... [flags]

RESULT.json gets the command, the machine, the versions, and for each method:
how many utterances were refused, certified and of the right length, quantiles
of SNR, best-lag correlation and MCD, the same of a guess that is the mean of
public speech, character and word errors of the transcripts, seconds,
utterances per minute (as if one after another), and the ledger; and the
seconds of the whole process, with features and compilation. What was refused
is inside all of them: as worse than any score, and null where a quantile falls
on it. Intervals are of 95% and of updates, as utterances of one batch stand or
fall together: Wilson's of the fraction of updates of which all utterances are
so, and of medians by a bootstrap over updates.
With --again a second attack on the same victims follows in the same process,
whose seconds, `again_seconds`, are those of compiled programs. The work
directory is temporary unless --workdir is given. Interrupted (Ctrl-C,
`timeout -s INT`), it still records the victims that are done, and that it was.

Tables of such files are made by `attack_tables.py`.
"""

import json
import math
import pathlib
import sys
import tempfile
import time

import main_job
import numpy as np

_RESAMPLES = 2000


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  flags = [flag for flag in argv[2:] if flag != '--again']
  with tempfile.TemporaryDirectory() as scratch:
    record = measured(flags, scratch)
    if '--again' in argv and not record['interrupted']:
      record |= again(flags, scratch, record['victims_asked'])
  record = {'command': ' '.join(['attack.py', *argv[1:]]), **record}
  result.write_text(json.dumps(record, indent=2) + '\n')
  print(json.dumps(record, indent=2))
  return 0


def measured(flags: list[str], scratch: str) -> dict:
  """Attacks with these flags; what was found, by method."""
  from fedjax_asr import command_line, environment, run_files
  from fedjax_asr.jobs import attack

  flags = [*flags[:1], f'--workdir={scratch}/attack', *flags[1:]]
  command = command_line.parse(['attack.py', *flags])
  interrupted = False
  started = time.perf_counter()
  try:
    attack.run(command.config, command.workdir)
  except KeyboardInterrupt:
    interrupted = True
  files = run_files.RunFiles(command.workdir)
  done = files.attack
  records = json.loads(done.read_text()) if done.exists() else []
  methods = dict.fromkeys(record['method'] for record in records)
  found = {
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'seed': command.config.seed,
    'victims_asked': command.config.attack.num_victims,
    'interrupted': interrupted,
    'total_seconds': round(time.perf_counter() - started, 1),
    'methods': {
      method: summary([each for each in records if each['method'] == method])
      for method in methods
    },
    'records': [
      {name: value for name, value in record.items() if name not in _BULKY}
      for record in records
    ],
    **main_job.memory(),
  }
  if files.speakers.exists():
    found['speakers'] = json.loads(files.speakers.read_text())
  return found


def again(flags: list[str], scratch: str, num_victims: int) -> dict:
  """Seconds of the same attack, files and figures included, once more."""
  from fedjax_asr import command_line
  from fedjax_asr.jobs import attack

  flags = [*flags[:1], f'--workdir={scratch}/again', *flags[1:]]
  command = command_line.parse(['attack.py', *flags])
  started = time.perf_counter()
  attack.run(command.config, command.workdir)
  seconds = time.perf_counter() - started
  return {
    'again_seconds': round(seconds, 1),
    'again_victims_per_minute': round(60 * num_victims / seconds, 2),
  }


# Texts, and what is the same in every record.
_BULKY = ('ledger', 'labels', 'reference', 'heard', 'original_heard', 'aligned')


def summary(records: list[dict]) -> dict:
  """Of one method, over all its utterances."""
  from fedjax_asr.attacks.measure import score_summary

  records = [score_summary.read(record) for record in records]
  made = [record for record in records if score_summary.is_found(record)]
  total = len(records)
  record = {
    'num_utterances': total,
    'num_refused': total - len(made),
    'reasons': sorted({each['refused'] for each in records} - {''}),
    'ledger': (made or records)[0]['ledger'],
  }
  if not made:
    return record
  victims = [each['victim'] for each in records]
  right = [each['num_frames'] == each['num_frames_found'] for each in records]
  certified = [each['is_certified'] for each in records]

  def of(name, worst=-math.inf):
    return quantiles(_values(records, name), worst, victims)

  seconds = {each['victim']: each['seconds'] for each in records}
  return record | {
    'num_updates': len(seconds),
    'certified': share_by_update(certified, victims),
    'right_length': share_by_update(right, victims),
    'snr_db': of('snr_db'),
    'shape_snr_db': of('shape_snr_db'),
    'determined_snr_db': of('determined_snr_db'),
    'best_lag_correlation': of('best_lag_correlation'),
    'public_snr_db': of('public_snr_db'),
    'public_mcd_db': of('public_mcd_db', math.inf),
    'mcd_db': of('mcd_db', math.inf),
    'mae': of('mae', math.inf),
    'cer_decoded': of('cer', math.inf),
    'cer_original': of('original_cer', math.inf),
    'cer_aligned': of('aligned_cer', math.inf),
    'wer_decoded': of('wer', math.inf),
    'wer_original': of('original_wer', math.inf),
    'wer_aligned': of('aligned_wer', math.inf),
    'seconds': of('seconds'),
    'utterances_per_minute': round(60 * total / sum(seconds.values()), 2),
  }


def _values(records, name):
  """None where it failed; nothing at all where it is not measured."""
  values = [each.get(name) for each in records]
  return [] if values == [None] * len(values) else values


def share(count: int, total: int) -> dict:
  """A fraction with its 95% interval (Wilson 1927)."""
  z = 1.96
  rate = count / total
  centre = rate + z**2 / (2 * total)
  spread = z * math.sqrt(rate * (1 - rate) / total + z**2 / (4 * total**2))
  scale = 1 + z**2 / total
  low, high = (centre - spread) / scale, (centre + spread) / scale
  return {
    'count': count,
    'of': total,
    'interval': [round(max(low, 0.0), 3), round(min(high, 1.0), 3)],
  }


def share_by_update(flags: list[bool], victims: list[str]) -> dict:
  """Of utterances; the interval is of updates all of whose utterances are."""
  updates = {
    name: all(
      flag
      for flag, victim in zip(flags, victims, strict=True)
      if victim == name
    )
    for name in dict.fromkeys(victims)
  }
  of_updates = share(sum(updates.values()), len(updates))
  return {
    'count': sum(flags),
    'of': len(flags),
    'updates': of_updates['count'],
    'interval': of_updates['interval'],
  }


def quantiles(
  values: list[float | None],
  worst: float = -math.inf,
  victims: list[str] | None = None,
) -> dict | None:
  """Least, median (95% interval by bootstrap) and largest.

  None counts as `worst`; what falls on it is None. With the names of their
  victims, values of one are drawn together.
  """
  if not values:
    return None
  known = np.array([worst if value is None else value for value in values])
  medians = [np.median(known[drawn]) for drawn in _draws(values, victims)]
  # Of the draws themselves: between a number and infinity there is none.
  low, high = np.quantile(medians, (0.025, 0.975), method='inverted_cdf')
  numbers = (known.min(), np.median(known), low, high, known.max())
  least, median, low, high, most = map(_finite, numbers)
  return {
    'min': least,
    'median': median,
    'median_interval': [low, high],
    'max': most,
  }


def _draws(values, victims):
  """Places of values, drawn with replacement, victim by victim."""
  names = np.arange(len(values)) if victims is None else np.array(victims)
  places = [np.flatnonzero(names == name) for name in dict.fromkeys(names)]
  rng = np.random.default_rng(0)
  for drawn in rng.integers(len(places), size=(_RESAMPLES, len(places))):
    yield np.concatenate([places[index] for index in drawn])


def _finite(value: float) -> float | None:
  return round(float(value), 5) if math.isfinite(value) else None


if __name__ == '__main__':
  sys.exit(main(sys.argv))
