"""What noise buys and what it costs: everything at once, by which one decides.

  python benchmarks/decision.py RESULT.json [--noises=0,1,8,500] [--seed=0]
      [--bugs=forgotten_layer,no_clipping,replayed_noise] [--jobs=N]
      [--audit.<field>=value] [flags of main, for training]

Trains configs/privacy.py with each noise, of which the multiplier is that of
the extrapolated cohort, and then audits the run: canaries, membership and
speakers, each in a process of its own, and an attack on two clients' updates
under that noise. RESULT.json gets a row as soon as a noise is trained, with WER
and what was spent, and in it what each of these found (audit.json without its
curves, the attack's scores) once that is done. With --bugs, the last noise is
audited by canaries once more with each bug planted. Rows that are whole are not
made again. N processes run at once.

  python benchmarks/decision.py RESULT.json --table

prints what was found of membership, in Markdown.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable

import audit_jobs
import sweep

from fedjax_asr import run_files, run_log

_POINT_OF_NOISE = 8 / 1_000


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
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
  record['points'] = [row for row in record['points'] if row['is_whole']]
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
    keep = audit_jobs.Record(result, record).keep
    rows = [
      threads.submit(
        place.measure,
        pool,
        flags,
        audit,
        bugs if place.noise == noises[-1] else [],
        keep,
      )
      for place in places
    ]
    for done in concurrent.futures.as_completed(rows):
      print(f'noise {done.result():g}', flush=True)
  return 0


class _Place:
  """One noise: the run's directory, and those of what is done with it."""

  def __init__(self, path: pathlib.Path, noise: float, seed: int):
    self._path = path
    self.noise, self._seed = noise, seed

  def measure(
    self,
    pool: concurrent.futures.Executor,
    flags: list[str],
    audit: list[str],
    bugs: list[str],
    keep: Callable[[dict], None],
  ) -> float:
    """The noise, once all that is asked of it is there; `keep` gets the row
    each time that more is."""
    run = self._path / 'run'
    error = pool.submit(sweep.run_main, self._training(run, flags)).result()
    if error:
      raise RuntimeError(error[-2000:])
    row = self._trained(run)
    keep(row)
    jobs = {
      name: [*job, f'--workdir={self._path / name}']
      for name, job in _jobs(run, audit, bugs).items()
    }
    for name, error in audit_jobs.run_all(pool, jobs):
      folder = self._path / name
      if error:
        row['errors'][name] = error[-500:]
      elif name == audit_jobs.ATTACK:
        row['attack'] = audit_jobs.attacked(folder)
      elif name in audit_jobs.PARTS:
        row['audit'][name] = audit_jobs.audited(folder, name)
      else:
        row['bugs'][name] = audit_jobs.audited(folder, 'canaries')
      keep(row)
    row['is_whole'] = True
    keep(row)
    return self.noise

  def _training(self, run: pathlib.Path, flags: list[str]) -> list[str]:
    return [
      *flags,
      f'--config.seed={self._seed}',
      *audit_jobs.of_noise(self.noise * _POINT_OF_NOISE),
      f'--workdir={run}',
    ]

  def _trained(self, run: pathlib.Path) -> dict:
    *_, last = run_log.read_metrics(run_files.RunFiles(run).metrics)
    return {
      'noise': self.noise,
      'noise_multiplier': self.noise * _POINT_OF_NOISE,
      'seed': self._seed,
      'is_whole': False,
      'wer': last['eval/wer'],
      'epsilon': audit_jobs.epsilons(last),
      'errors': {},
      'audit': dict.fromkeys(audit_jobs.PARTS),
      'bugs': {},
      'attack': [],
    }


def _jobs(
  run: pathlib.Path, audit: list[str], bugs: list[str]
) -> dict[str, list[str]]:
  """Flags of what is done with a run."""
  jobs = audit_jobs.audits(run, audit_jobs.PARTS, audit)
  planted = '--config.audit.canaries.planted_bug'
  jobs |= {bug: [*jobs['canaries'], f'{planted}={bug}'] for bug in bugs}
  jobs[audit_jobs.ATTACK] = audit_jobs.attack(run)
  return jobs


def table(points: list[dict]) -> str:
  """By noise: AUC and its interval by score of utterances, and LiRA's TPR."""
  scores = ('loss', 'lira', 'rmia')
  lines = [
    f'| multiplier | seed | WER | {" | ".join(scores)} | LiRA, TPR at 1% FPR |',
    '|---' * (4 + len(scores)) + '|',
  ]
  for row in sorted(points, key=lambda row: (row['noise'], row['seed'])):
    found = row['audit']['membership']['utterances']['scores']
    cells = [
      '{:.3f} [{:.3f}, {:.3f}]'.format(
        found[name]['auc'], *found[name]['auc_interval']
      )
      for name in scores
    ]
    (rate,) = (
      each for each in found['lira']['tpr_at_fpr'] if each['fpr'] == 0.01
    )
    low, high = rate['interval']
    lines.append(
      f'| {row["noise_multiplier"]:g} | {row["seed"]} | {row["wer"]:.1%} |'
      f' {" | ".join(cells)} | {rate["tpr"]:.1%} [{low:.1%}, {high:.1%}] |'
    )
  return '\n'.join(lines)


if __name__ == '__main__':
  # Data come from the training's first process; each of the others finds them.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  sys.exit(main(sys.argv))
