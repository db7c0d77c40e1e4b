"""Runs an attack and records what it found, with intervals.

  python benchmarks/attack.py RESULT.json [--again] --config=... [flags]

RESULT.json gets the command, the machine, the versions, and for each method:
how many utterances were reconstructed, certified and of the right length (with
95% Wilson intervals), quantiles of SNR, best-lag correlation and MCD (the
median's 95% interval by bootstrap over utterances), the same of a guess that is
the mean of public speech, character errors of the transcripts, seconds,
utterances per minute (as if one after another), and the ledger; and the seconds
of the whole process, with features and compilation.
With --again a second attack on the same victims follows in the same process,
whose seconds, `again_seconds`, are those of compiled programs. The work
directory is temporary unless --workdir is given. Interrupted (Ctrl-C,
`timeout -s INT`), it still records the victims that are done, and that it was.
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
  from fedjax_asr import command_line, environment
  from fedjax_asr.jobs import attack

  flags = [*flags[:1], f'--workdir={scratch}/attack', *flags[1:]]
  command = command_line.parse(['attack.py', *flags])
  interrupted = False
  started = time.perf_counter()
  try:
    attack.run(command.config, command.workdir)
  except KeyboardInterrupt:
    interrupted = True
  path = pathlib.Path(command.workdir)
  done = path / 'attack.json'
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
  speakers = path / 'speakers.json'
  if speakers.exists():
    found['speakers'] = json.loads(speakers.read_text())
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
_BULKY = ('ledger', 'labels', 'reference', 'heard', 'aligned')


def summary(records: list[dict]) -> dict:
  """Of one method, over its utterances."""
  made = [record for record in records if not record['refused']]
  total = len(records)
  record = {
    'num_utterances': total,
    'num_refused': total - len(made),
    'reasons': sorted({each['refused'] for each in records} - {''}),
  }
  if not made:
    return record
  right = [each['num_frames'] == each['num_frames_found'] for each in made]
  seconds = [each['seconds'] for each in made]
  updates = {each['victim']: each['seconds'] for each in made}
  return record | {
    'certified': share(sum(each['is_certified'] for each in made), total),
    'right_length': share(sum(right), total),
    'snr_db': quantiles([each['snr_db'] for each in made]),
    'best_lag_correlation': quantiles(
      [each['best_lag_correlation'] for each in made]
    ),
    'public_snr_db': quantiles(_known(made, 'public_snr_db')),
    'public_mcd_db': quantiles(_known(made, 'public_mcd_db')),
    'mcd_db': quantiles(_known(made, 'mcd_db')),
    'mae': quantiles([each['mae'] for each in made]),
    'cer_decoded': quantiles([each['cer'] for each in made]),
    'cer_aligned': quantiles(_known(made, 'aligned_cer')),
    'seconds': quantiles(seconds),
    'utterances_per_minute': round(60 * len(made) / sum(updates.values()), 2),
    'ledger': made[0]['ledger'],
  }


def _known(records, name):
  return [each[name] for each in records if each[name] is not None]


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


def quantiles(values: list[float]) -> dict | None:
  """Least, median (95% interval by bootstrap) and largest."""
  if not values:
    return None
  rng = np.random.default_rng(0)
  draws = rng.choice(values, (_RESAMPLES, len(values)))
  low, high = np.quantile(np.median(draws, 1), (0.025, 0.975))
  numbers = (min(values), np.median(values), low, high, max(values))
  least, median, low, high, most = (round(float(each), 5) for each in numbers)
  return {
    'min': least,
    'median': median,
    'median_interval': [low, high],
    'max': most,
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
