"""Leakage under each defence of configs/defences.py, and what it costs.

  python benchmarks/defences.py RESULT.json [--wer] [--only=VARIANT,...]
      [--jobs=N] [flags]

For each point of each variant's sweep: share of utterances certified, how many
were refused, median SNR (refusals inside, as worse than any), and how often the
speaker is found (top-1 of the victims' speakers, beside the ceiling on original
features); with --wer also the WER on held-out speakers of a training run with
the same overrides, which takes minutes each. What RESULT.json has already is
not measured again. --jobs measures so many points at once, each in a process of
its own. Other flags go to every attack and training, such as --config.seed=1.

  python benchmarks/defences.py RESULT.json --table

prints what it has as a table in Markdown.
"""

import concurrent.futures
import json
import multiprocessing
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
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  flags = [flag for flag in argv[2:] if flag.startswith('--config.')]
  variants = _value(argv, '--only=', ','.join(VARIANTS)).split(',')
  record = _opened(result, argv)
  tasks = _missing(record['points'], variants, '--wer' in argv)
  with concurrent.futures.ProcessPoolExecutor(
    int(_value(argv, '--jobs=', '1')),
    # A process for each: a finished one gives its device memory back.
    mp_context=multiprocessing.get_context('spawn'),
    max_tasks_per_child=1,
  ) as pool:
    running = {
      pool.submit(task, row['defence'], row['point'], flags): row
      for row, task in tasks
    }
    failed = 0
    for done in concurrent.futures.as_completed(running):
      row = running[done]
      try:
        row.update(done.result())
      except Exception as error:  # The other points go on.
        failed = 1
        name = f'{row["defence"]} {row["point"]}'
        print(f'{name}: {type(error).__name__}: {error}', file=sys.stderr)
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(json.dumps(row), flush=True)
  return failed


def _value(argv, name, default):
  return next(
    (flag[len(name) :] for flag in argv if flag.startswith(name)), default
  )


def _opened(result: pathlib.Path, argv: list[str]) -> dict:
  """The record, with a row for every point that was asked for before."""
  from fedjax_asr import environment

  if result.exists():
    return json.loads(result.read_text())
  return {
    'command': ' '.join(['defences.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'points': [],
  }


def _missing(rows: list[dict], variants: list[str], with_wer: bool) -> list:
  """(row, what measures the rest of it); new rows are added to `rows`."""
  tasks = []
  for variant in variants:
    for point in _points(variant):
      names = {'defence': variant, 'point': point}
      row = next((row for row in rows if names.items() <= row.items()), None)
      if row is None:
        row = names
        rows.append(row)
      if 'num_refused' not in row:
        tasks.append((row, leakage))
      if with_wer and 'wer' not in row:
        tasks.append((row, word_errors))
  # The longest first, so that the last ones do not run alone.
  return sorted(tasks, key=lambda task: task[1] is leakage)


def _points(variant: str) -> list[dict]:
  from fedjax_asr import config_file

  return config_file.sweep(f'{CONFIG}:{variant}')


def table(rows: list[dict]) -> str:
  """Markdown, a line a point; a dash where nothing was measured."""
  lines = [
    '| defence | point | certified | refused | median SNR | speaker found '
    '| WER |',
    '|---|---|---|---|---|---|---|',
  ]
  for row in rows:
    point = ', '.join(
      f'{name.rpartition(".")[2]} {value}'
      for name, value in row['point'].items()
    )
    cells = [row['defence'], point, *_leaked(row)]
    cells.append(f'{row["wer"]:.1%}' if 'wer' in row else '-')
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


def _leaked(row: dict) -> list[str]:
  if 'certified' not in row:
    return ['-', '-', '-', '-']
  certified = row['certified']
  found = [
    rate for name, rate in row['speaker_top1'].items() if name != 'original'
  ]
  return [
    f'{certified["count"]} of {certified["of"]}',
    _refused(row),
    _median_snr(row),
    f'{max(found):.0%}' if found else '-',
  ]


def _refused(row: dict) -> str:
  return f'{row["num_refused"]} of {row["certified"]["of"]}'


def _median_snr(row: dict) -> str:
  from fedjax_asr.attacks.measure import score_summary

  return score_summary.shown(row['snr_db']['median'], '{:.1f} dB')


def _flags(variant, point, flags):
  overrides = [f'--config.{name}={value}' for name, value in point.items()]
  return [f'--config={CONFIG}:{variant}', *overrides, *flags]


def leakage(variant: str, point: dict, flags: list[str]) -> dict:
  """What the attack finds at this point."""
  from fedjax_asr.attacks.measure import score_summary

  with tempfile.TemporaryDirectory() as scratch:
    found = attack.measured(_flags(variant, point, flags), scratch)
  rows = score_summary.believed(found['records'])
  speakers = found.get('speakers', {})
  return {
    'certified': attack.share(
      sum(row['is_certified'] for row in rows), len(rows)
    ),
    'snr_db': attack.quantiles([row['snr_db'] for row in rows]),
    'num_refused': sum(row['snr_db'] is None for row in rows),
    'refused': sorted({row['refused'] for row in rows} - {''}),
    'speaker_top1': {
      method: ranks['top1']
      for method, ranks in speakers.items()
      if isinstance(ranks, dict)
    },
    'leakage_on': found['machine']['devices'][0],
  }


def word_errors(variant: str, point: dict, flags: list[str]) -> dict:
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
  return {
    'wer': trained['final']['eval/wer'],
    'wer_on': trained['machine']['devices'][0],
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
