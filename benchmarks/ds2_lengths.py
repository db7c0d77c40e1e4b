"""How long speech may be that DeepSpeech 2's first recurrence gives away.

  python benchmarks/ds2_lengths.py RESULT.json --speech=MANIFEST
      [--half=second] [--points=POINT,...] [--jobs=N] [flags of main]

Attacks `base` of configs/ds2_attack.py, freshly initialised, by `demixing`;
transcript and length are not told. A POINT is FEATURES:SECONDS:FRAMES:DTYPE:N,
of `base` (80 log-mel) or `spectrogram` (161 bins), the middle SECONDS of
utterances or, at 0, whole ones of up to 10 s, FRAMES found by `chain`, `search`
or `dictionary` (SPEAR++, to compare), DTYPE of the client's products, N
utterances. RESULT.json gets a point's rows as soon as it is done, and a point
that was interrupted goes on where it stopped (its attack is kept beside the
result). Where BENCHMARK_DEVICES is set, so many GPUs have points in turn.
Speech is of a manifest's first or second half, by id: settings were chosen on
first halves only.

  python benchmarks/ds2_lengths.py RESULT.json --table
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys

import adaptive
import attack as attack_benchmark
import numpy as np
import sweep

# Long ones first.
_POINTS = (
  'spectrogram:8:chain:float32:20',
  'base:4:chain:float32:20',
  'base:0:chain:float32:10',
  'spectrogram:8:chain:bfloat16:10',
  'base:4:chain:bfloat16:10',
  'base:4:dictionary:float32:5',
  'base:2:dictionary:float32:5',
  'base:1:dictionary:float32:5',
  'base:0.5:dictionary:float32:5',
)
_OWN = {
  '--points': ','.join(_POINTS),
  '--speech': '',
  '--half': 'second',
  '--jobs': '1',
}
_MOST_SECONDS = 10


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  own, flags = sweep.split_words(argv[2:], _OWN)
  if not own['--speech']:
    print(__doc__, file=sys.stderr)
    return 2
  record = sweep.opened(result, ['ds2_lengths.py', 'RESULT.json', *argv[2:]])
  kept = result.with_suffix('')
  kept.mkdir(parents=True, exist_ok=True)
  half = kept / f'{own["--half"]}_half.jsonl'
  half.write_text(
    adaptive.half_of(pathlib.Path(own['--speech']), own['--half'])
  )
  had = {point['point'] for point in record['points']}
  with concurrent.futures.ProcessPoolExecutor(
    int(own['--jobs']),
    mp_context=multiprocessing.get_context('spawn'),
    max_tasks_per_child=1,
  ) as pool:
    running = [
      pool.submit(_point, index, name, half, kept, flags)
      for index, name in enumerate(own['--points'].split(','))
      if name not in had
    ]
    for each in concurrent.futures.as_completed(running):
      record['points'].append(each.result())
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(_line(record['points'][-1]), flush=True)
  return 0


def _point(
  index: int,
  name: str,
  half: pathlib.Path,
  kept: pathlib.Path,
  flags: list[str],
) -> dict:
  """Rows of one attack: in a process of its own, on a device in turn."""
  devices = os.environ.get('BENCHMARK_DEVICES')
  if devices:
    os.environ['CUDA_VISIBLE_DEVICES'] = str(index % int(devices))
  from fedjax_asr import command_line, run_files
  from fedjax_asr.jobs import attack

  features, seconds, frames, dtype, count = name.split(':')
  command = command_line.parse(
    [
      'attack.py',
      f'--config=configs/ds2_attack.py:{features}',
      f'--workdir={kept / name.replace(":", "_")}',
      '--config.data.corpus=manifest',
      f'--config.data.path={half}',
      '--config.data.num_heldout_speakers=0',
      '--config.attack.subset=corpus',
      f'--config.attack.num_victims={count}',
      f'--config.attack.stretch_seconds={seconds}',
      *([f'--config.attack.max_seconds={_MOST_SECONDS}'] * (seconds == '0')),
      f'--config.attack.demixing.frames_by={frames}',
      f'--config.model.ds2.dtype={dtype}',
      '--config.attack.illustrated=false',
      *flags,
    ]
  )
  attack.run(command.config, command.workdir)
  records = json.loads(run_files.RunFiles(command.workdir).attack.read_text())
  rows = [{key: row.get(key) for key in adaptive.KEPT} for row in records]
  return {'point': name, 'precision': _precision(records), 'rows': rows}


def _precision(records: list[dict]) -> str:
  """Of the clients' products, as the ledgers have it."""
  (found,) = {row['ledger']['precision'] for row in records}
  return found


def table(points: list[dict]) -> str:
  """A point a line: medians over all, refusals inside as worse than any."""
  lines = [
    '| features | seconds | frames by | products | certified | whole |'
    ' refused | median SNR | least certified | seconds, median and most |',
    '|---|---|---|---|---|---|---|---|---|---|',
  ]
  return '\n'.join([*lines, *map(_line, points)])


def _line(point: dict) -> str:
  rows = point['rows']
  features, seconds, frames, _, _ = point['point'].split(':')
  certified = [row for row in rows if row['is_certified']]
  share = attack_benchmark.share(len(certified), len(rows))
  low, high = (round(100 * end) for end in share['interval'])
  snr = [
    -np.inf if row['refused'] or row['snr_db'] is None else row['snr_db']
    for row in rows
  ]
  median = float(np.quantile(snr, 0.5, method='lower'))
  least = min((row['snr_db'] for row in certified), default=None)
  taken = [row['seconds'] for row in rows]
  cells = (
    {'base': '80 log-mel', 'spectrogram': '161 bins'}[features],
    f'{seconds} s' if float(seconds) else 'whole',
    frames,
    point['precision'],
    f'{len(certified)} of {len(rows)} ({low} to {high}%)',
    str(sum(bool(row['is_whole']) for row in rows)),
    str(sum(bool(row['refused']) for row in rows)),
    f'{median:.1f} dB' if np.isfinite(median) else 'refused',
    '-' if least is None else f'{least:.1f} dB',
    f'{np.median(taken):.0f}, {max(taken):.0f}',
  )
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  sys.exit(main(sys.argv))
