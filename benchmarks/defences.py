"""Leakage under each defence of configs/defences.py, and what it costs.

  python benchmarks/defences.py RESULT.json [--wer] [--only=VARIANT,...] [flags]

For each point of each variant's sweep: share of utterances certified, median
SNR, and how often the speaker is found (top-1 of the victims' speakers, beside
the ceiling on original features); with --wer also the WER on held-out speakers
of a training run with the same overrides, which takes minutes each. Points
that RESULT.json has already are not measured again. Other flags go to every
attack and training, such as --config.seed=1.
"""

import json
import pathlib
import sys
import tempfile

import attack
import main_job

CONFIG = 'configs/defences.py'
VARIANTS = (
  'dropout',
  'clipping',
  'noise_local',
  'noise_central',
  'compression',
  'batch_size',
  'local_steps',
  'client_optimizer',
  'secure_aggregation',
)


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  flags = [flag for flag in argv[2:] if flag.startswith('--config.')]
  only = [flag[7:].split(',') for flag in argv[2:] if flag[:7] == '--only=']
  record = _opened(result, argv)
  for variant in only[0] if only else VARIANTS:
    for point in _points(variant):
      _measure(record, result, variant, point, flags, '--wer' in argv)
  return 0


def _opened(result: pathlib.Path, argv: list[str]) -> dict:
  from fedjax_asr import run_directory

  if result.exists():
    return json.loads(result.read_text())
  return {
    'command': ' '.join(['defences.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': run_directory.versions(),
    'points': [],
  }


def _points(variant: str) -> list[dict]:
  from fedjax_asr import config_file

  return config_file.sweep(f'{CONFIG}:{variant}')


def _measure(record, result, variant, point, flags, with_wer):
  """Adds what is missing of a point, and writes the file."""
  names = {'defence': variant, 'point': point}
  found = next(
    (row for row in record['points'] if names.items() <= row.items()), None
  )
  if found is None:
    found = names | leakage(variant, point, flags)
    record['points'].append(found)
  if with_wer and 'wer' not in found:
    found['wer'] = word_errors(variant, point, flags)
  result.write_text(json.dumps(record, indent=1) + '\n')
  print(json.dumps(found), flush=True)


def _flags(variant, point, flags):
  overrides = [f'--config.{name}={value}' for name, value in point.items()]
  return [f'--config={CONFIG}:{variant}', *overrides, *flags]


def leakage(variant: str, point: dict, flags: list[str]) -> dict:
  """What the attack finds at this point."""
  with tempfile.TemporaryDirectory() as scratch:
    found = attack.measured(_flags(variant, point, flags), scratch)
  best = {}
  for row in found['records']:
    kept = best.get(row['utterance'])
    if kept is None or _believed(row) > _believed(kept):
      best[row['utterance']] = row
  rows = list(best.values())
  speakers = found.get('speakers', {})
  return {
    'certified': attack.share(
      sum(row['is_certified'] for row in rows), len(rows)
    ),
    'snr_db': attack.quantiles([row['snr_db'] for row in rows]),
    'refused': sorted({row['refused'] for row in rows} - {''}),
    'speaker_top1': {
      method: ranks['top1']
      for method, ranks in speakers.items()
      if isinstance(ranks, dict)
    },
  }


def _believed(row: dict) -> tuple[bool, bool]:
  """What an attacker goes by: a certificate, or else any reconstruction."""
  return row['is_certified'], not row['refused']


def word_errors(variant: str, point: dict, flags: list[str]) -> float:
  """WER at the end of training with the same overrides."""
  shared = {
    name: value
    for name, value in point.items()
    if not name.startswith('attack.')
  }
  flags = [
    *_flags(variant, shared, flags)[:1],
    '--config.job=train',
    *_flags(variant, shared, flags)[1:],
  ]
  with tempfile.TemporaryDirectory() as scratch:
    trained = main_job.measured(flags, scratch, 0.0)
  return trained['final']['eval/wer']


if __name__ == '__main__':
  sys.exit(main(sys.argv))
