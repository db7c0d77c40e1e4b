"""What an attacker that reckons with noise reconstructs, by noise and attack.

  python benchmarks/adaptive.py RESULT.json [--noises=0,1e-8,...,1]
      [--seeds=0,1,2] [--victims=20] [--methods=span,adaptive] [--jobs=N]
      [--speech=synthetic|MANIFEST] [--half=first|second] [flags of main]

The model and training of configs/defences.py, freshly initialised; noise is
`local_noise_multiplier` of a clip norm of 1, length and transcript are not
told. A seed has an initialisation, victims and noise of its own. RESULT.json
gets a row for each victim and method as soon as a point (noise, seed) is done;
points that it has are not made again. Rows have the scores of attack.json, and
those of the mean of public speech, which needs no update. With a manifest,
stretches of 2 s of its first or second half of utterances, ordered by id:
settings were chosen on first halves only.

  python benchmarks/adaptive.py RESULT.json --table
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile

import numpy as np
import sweep

_RESAMPLES = 4000
_NOISES = '0,1e-8,1e-7,1e-6,1e-5,1e-4,1e-3,1e-2,1e-1,1'
_OWN = {
  '--noises': _NOISES,
  '--seeds': '0,1,2',
  '--victims': '20',
  '--methods': 'span,adaptive',
  '--jobs': '1',
  '--speech': 'synthetic',
  '--half': 'second',
}
KEPT = (
  'victim',
  'utterance',
  'method',
  'refused',
  'snr_db',
  'mcd_db',
  'public_snr_db',
  'public_mcd_db',
  'correlation',
  'is_certified',
  'is_whole',
  'num_frames',
  'num_frames_found',
  'certificate',
  'seconds',
)


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  own, flags = sweep.split_words(argv[2:], _OWN)
  record = sweep.opened(result, ['adaptive.py', 'RESULT.json', *argv[2:]])
  had = {(row['noise'], row['seed']) for row in record['points']}
  wanted = [
    (float(noise), int(seed))
    for noise in own['--noises'].split(',')
    for seed in own['--seeds'].split(',')
  ]
  with (
    tempfile.TemporaryDirectory() as scratch,
    concurrent.futures.ProcessPoolExecutor(
      int(own['--jobs']),
      mp_context=multiprocessing.get_context('spawn'),
      max_tasks_per_child=1,
    ) as pool,
  ):
    flags += _speech(own, pathlib.Path(scratch))
    running = {
      pool.submit(_point, index, noise, seed, own, flags): (noise, seed)
      for index, (noise, seed) in enumerate(wanted)
      if (noise, seed) not in had
    }
    for each in concurrent.futures.as_completed(running):
      noise, seed = running[each]
      rows = each.result()
      record['points'].append({'noise': noise, 'seed': seed, 'rows': rows})
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(f'noise {noise:g}, seed {seed}: {len(rows)} rows', flush=True)
  return 0


def _speech(own: dict[str, str], scratch: pathlib.Path) -> list[str]:
  """Flags for the speech that is attacked."""
  if own['--speech'] == 'synthetic':
    return []
  source = pathlib.Path(own['--speech'])
  half = scratch / 'half.jsonl'
  half.write_text(half_of(source, own['--half']))
  return [
    '--config.data.corpus=manifest',
    f'--config.data.path={half}',
    '--config.data.num_heldout_speakers=0',
    '--config.attack.subset=corpus',
    '--config.attack.stretch_seconds=2',
  ]


def half_of(manifest: pathlib.Path, which: str) -> str:
  """The lines of a manifest's first or second half of utterances by id."""
  rows = sorted(
    map(json.loads, manifest.read_text().splitlines()),
    key=lambda row: row['id'],
  )
  middle = len(rows) // 2
  chosen = rows[:middle] if which == 'first' else rows[middle:]
  folder = manifest.resolve().parent
  lines = [
    row | {'audio_filepath': str(folder / row['audio_filepath'])}
    for row in chosen
  ]
  return ''.join(json.dumps(line) + '\n' for line in lines)


def _point(
  index: int, noise: float, seed: int, own: dict[str, str], flags: list[str]
) -> list[dict]:
  """Scores of one attack: in a process of its own, on a device in turn."""
  devices = os.environ.get('BENCHMARK_DEVICES')
  if devices:
    os.environ['CUDA_VISIBLE_DEVICES'] = str(index % int(devices))
  from fedjax_asr import command_line, run_files
  from fedjax_asr.jobs import attack

  methods = ''.join(f"'{name}'," for name in own['--methods'].split(','))
  with tempfile.TemporaryDirectory() as workdir:
    command = command_line.parse(
      [
        'attack.py',
        '--config=configs/defences.py:noise_local',
        f'--workdir={workdir}/attack',
        f'--config.seed={seed}',
        '--config.federated.privacy.clip_norm=1.0',
        f'--config.federated.privacy.local_noise_multiplier={noise}',
        f'--config.attack.num_victims={own["--victims"]}',
        f'--config.attack.methods=({methods})',
        '--config.attack.tries_all=true',
        '--config.attack.speaker_id.enabled=false',
        '--config.attack.illustrated=false',
        *flags,
      ]
    )
    attack.run(command.config, command.workdir)
    records = json.loads(run_files.RunFiles(command.workdir).attack.read_text())
  return [{name: row.get(name) for name in KEPT} for row in records]


def table(points: list[dict]) -> str:
  """By noise and method: medians over victims, refusals as worse than any.

  Intervals of 95% by a bootstrap over victims; beside the misfit's limit, the
  least and the greatest SNR of those within.
  """
  lines = [
    '| noise | method | victims | refused | SNR, median | 8 dB or more |'
    ' 20 dB or more | length right | within the limit | public mean |',
    '|---|---|---|---|---|---|---|---|---|---|',
  ]
  groups: dict[tuple[float, str], list[dict]] = {}
  for point in points:
    for row in point['rows']:
      groups.setdefault((point['noise'], row['method']), []).append(row)
  lines += [_line(*key, rows) for key, rows in sorted(groups.items())]
  return '\n'.join(lines)


def _line(noise: float, method: str, rows: list[dict]) -> str:
  snr = np.array(
    [
      -np.inf if row['refused'] or row['snr_db'] is None else row['snr_db']
      for row in rows
    ]
  )
  refused = sum(bool(row['refused']) for row in rows)
  right = sum(row['num_frames'] == row['num_frames_found'] for row in rows)
  public = np.median([row['public_snr_db'] for row in rows])
  return (
    f'| {noise:g} | {method} | {len(rows)} | {refused} | {_median(snr)} |'
    f' {np.sum(snr >= 8)} | {np.sum(snr >= 20)} | {right} |'
    f' {_within(rows, snr)} | {public:.1f} dB |'
  )


def _median(snr: np.ndarray) -> str:
  median = np.quantile(snr, 0.5, method='lower')
  if not np.isfinite(median):
    return 'refused'
  drawn = np.random.default_rng(0).choice(snr, (_RESAMPLES, len(snr)))
  medians = np.quantile(drawn, 0.5, axis=1, method='lower')
  low, high = np.quantile(medians, (0.025, 0.975), method='nearest')
  return f'{median:.1f} dB ({low:.1f} to {high:.1f})'


def _within(rows: list[dict], snr: np.ndarray) -> str:
  """Of what the attacker's own misfit does not exclude."""
  kept = [
    value
    for row, value in zip(rows, snr, strict=True)
    if (row['certificate'] or {}).get('misfit', np.inf)
    <= (row['certificate'] or {}).get('misfit_limit', -np.inf)
  ]
  if not kept:
    return '0'
  return f'{len(kept)}, {min(kept):.1f} to {max(kept):.1f} dB'


if __name__ == '__main__':
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  sys.exit(main(sys.argv))
