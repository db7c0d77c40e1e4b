"""What noise buys and what it costs: everything at once, by which one decides.

  python benchmarks/decision.py RESULT.json [--noises=0,1,8,500] [--seed=0]
      [--bugs=forgotten_layer,no_clipping,replayed_noise] [--jobs=N]
      [--audit.<field>=value] [flags of main, for training]

Trains configs/privacy.py with each noise, of which the multiplier is that of
the extrapolated cohort, and then audits the run: canaries, membership and
speakers, each in a process of its own, and an attack on two clients' updates
under that noise. RESULT.json gets a row as soon as all of a noise is done: WER,
what was spent, audit.json without its curves, the attack's scores. With --bugs,
the last noise is audited by canaries once more with each bug planted. Rows that
it has are not made again. N processes run at once.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile

import sweep

from fedjax_asr import run_files, run_log

_POINT_OF_NOISE = 8 / 1_000
_PARTS = ('canaries', 'membership', 'speakers')
# Long lists, of which figures of one run are made.
_CURVES = ('roc', 'scores_in', 'scores_out', 'genuine', 'impostor', 'curve')


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  own = {'--noises': '0,1,8,500', '--seed': '0', '--bugs': '', '--jobs': '1'}
  audit, flags = [], ['--config=configs/privacy.py']
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    if name in own:
      own[name] = value
    elif name.startswith('--audit.'):
      audit.append(f'--config.{flag[2:]}')
    else:
      flags.append(flag)
  record = sweep.opened(result, ['decision.py', 'RESULT.json', *argv[2:]])
  had = {(row['noise'], row['seed']) for row in record['points']}
  noises = [float(noise) for noise in own['--noises'].split(',')]
  seed = int(own['--seed'])
  context = multiprocessing.get_context('spawn')
  with (
    tempfile.TemporaryDirectory() as scratch,
    concurrent.futures.ProcessPoolExecutor(
      int(own['--jobs']), context, max_tasks_per_child=1
    ) as pool,
    concurrent.futures.ThreadPoolExecutor(len(noises)) as threads,
  ):
    places = [
      _Place(pathlib.Path(scratch) / f'noise_{noise:g}', noise, seed)
      for noise in noises
      if (noise, seed) not in had
    ]
    bugs = [bug for bug in own['--bugs'].split(',') if bug]
    rows = [
      threads.submit(
        place.row, pool, flags, audit, bugs if place.noise == noises[-1] else []
      )
      for place in places
    ]
    for done in concurrent.futures.as_completed(rows):
      record['points'].append(done.result())
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(f'noise {done.result()["noise"]:g}', flush=True)
  return 0


class _Place:
  """One noise: the run's directory, and those of what is done with it."""

  def __init__(self, path: pathlib.Path, noise: float, seed: int):
    self._path = path
    self.noise, self._seed = noise, seed

  def row(
    self,
    pool: concurrent.futures.Executor,
    flags: list[str],
    audit: list[str],
    bugs: list[str],
  ) -> dict:
    """Waits for all that is asked of this noise."""
    run = self._path / 'run'
    multiplier = self.noise * _POINT_OF_NOISE
    training = [
      *flags,
      f'--config.seed={self._seed}',
      f'--config.federated.privacy.central_noise_multiplier={multiplier}',
      f'--workdir={run}',
    ]
    if not self.noise:
      training += [
        '--config.federated.privacy.population=0',
        '--config.federated.privacy.population_cohort=0',
        '--config.federated.privacy.delta=1e-5',
      ]
    error = pool.submit(sweep.run_main, training).result()
    if error:
      raise RuntimeError(error[-2000:])
    on_run = ['--config=configs/audit.py', f'--config.audit.run={run}', *audit]
    jobs = {
      part: [*on_run, f"--config.audit.parts=('{part}',)"] for part in _PARTS
    }
    for bug in bugs:
      jobs[bug] = [
        *jobs['canaries'],
        f'--config.audit.canaries.planted_bug={bug}',
      ]
    jobs['attack'] = [
      '--config=configs/attack.py',
      f'--config.attack.run={run}',
      '--config.attack.illustrated=false',
    ]
    running = {
      name: pool.submit(
        sweep.run_main, [*job, f'--workdir={self._path / name}']
      )
      for name, job in jobs.items()
    }
    errors = {name: each.result()[-500:] for name, each in running.items()}
    *_, last = run_log.read_metrics(run_files.RunFiles(run).metrics)
    found = {
      'noise': self.noise,
      'noise_multiplier': multiplier,
      'seed': self._seed,
      'wer': last['eval/wer'],
      'epsilon': {
        name.removeprefix('privacy/'): value
        for name, value in last.items()
        if name.startswith('privacy/')
      },
      'errors': {name: error for name, error in errors.items() if error},
    }
    audited = {part: self._audited(part, part) for part in _PARTS}
    return found | {
      'audit': audited,
      'bugs': {bug: self._audited(bug, 'canaries') for bug in bugs},
      'attack': self._attacked(),
    }

  def _audited(self, folder: str, part: str) -> dict | None:
    file = run_files.RunFiles(self._path / folder).audit
    if not file.is_file():
      return None
    return _without_curves(json.loads(file.read_text()).get(part))

  def _attacked(self) -> list[dict]:
    file = run_files.RunFiles(self._path / 'attack').attack
    if not file.is_file():
      return []
    wanted = ('utterance', 'method', 'snr_db', 'is_certified', 'refused')
    return [
      {name: each[name] for name in wanted}
      for each in json.loads(file.read_text())
    ]


def _without_curves(value):
  if isinstance(value, dict):
    return {
      name: _without_curves(each)
      for name, each in value.items()
      if not any(curve in name for curve in _CURVES)
      or not isinstance(each, list)
    }
  return value


if __name__ == '__main__':
  # Data come from the training's first process; each of the others finds them.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  sys.exit(main(sys.argv))
