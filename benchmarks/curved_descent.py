"""The climb of the noisy attack, as it is and in the metric of its curvature.

  python benchmarks/curved_descent.py RESULT.json [--noise=1e-5] [--seed=10]
      [--victims=3]

Victims of configs/defences.py, with noise in multiples of a clip norm of 1; the
start and sign of the true length (`capon_start`). A row for each victim, way
and number of L-BFGS iterations: seconds, and nats that the objective is above
the least that either way found (`above`).
"""

import functools
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import sweep

_OWN = {'--noise': '1e-5', '--seed': '10', '--victims': '3'}
_PLAIN = (50, 100, 300, 1000, 3000)
_CURVED = (25, 50, 100, 200)


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  import threadpoolctl

  own, flags = sweep.split_words(argv[2:], _OWN)
  result = pathlib.Path(argv[1])
  record = sweep.opened(result, ['curved_descent.py', 'RESULT.json', *argv[2:]])
  with threadpoolctl.threadpool_limits(1):
    for name, problem, count in _problems(own, flags):
      rows = measured(problem, count, _PLAIN, _CURVED)
      record['points'].append({'victim': name, 'frames': count, 'rows': rows})
      result.write_text(json.dumps(record, indent=1) + '\n')
      for row in rows:
        print(name, count, row, flush=True)
  return 0


def measured(problem, count: int, plain, curved) -> list[dict]:
  """Of one problem; `plain` and `curved` are numbers of iterations."""
  from fedjax_asr.attacks.likelihood import (
    curved_descent,
    length_search,
    posterior,
  )

  objective = posterior.with_prior(posterior.flat(problem))
  ways = {
    'plain': (functools.partial(posterior.maximum, objective), plain),
    'curved': (
      functools.partial(curved_descent.maximum, problem, objective),
      curved,
    ),
  }
  start = min(
    length_search.starts(problem, count, np.random.default_rng(0)),
    key=lambda each: ways['curved'][0](each, max(curved)).value,
  )
  rows = []
  for way, (maximum, counts) in ways.items():
    for iterations in counts:
      begun = time.perf_counter()
      value = maximum(start, iterations).value
      seconds = time.perf_counter() - begun
      rows.append(
        {
          'way': way,
          'iterations': iterations,
          'seconds': seconds,
          'value': value,
        }
      )
  least = min(row['value'] for row in rows)
  return [row | {'above': row['value'] - least} for row in rows]


def _problems(own: dict, flags: list[str]) -> Iterator[tuple]:
  """(victim, problem, its true number of frames) of each."""
  from fedjax_asr import command_line
  from fedjax_asr.attacks.likelihood import adaptive
  from fedjax_asr.jobs import attack_victims, attacked_run

  with tempfile.TemporaryDirectory() as workdir:
    command = command_line.parse(
      [
        'attack.py',
        '--config=configs/defences.py:noise_local',
        f'--workdir={workdir}/attack',
        f'--config.seed={own["--seed"]}',
        '--config.federated.privacy.clip_norm=1.0',
        f'--config.federated.privacy.local_noise_multiplier={own["--noise"]}',
        f'--config.attack.num_victims={own["--victims"]}',
        "--config.attack.methods=('adaptive',)",
        *flags,
      ]
    )
    cfg = command.config.attack
    attacked = attacked_run.load(
      command.config, command.workdir, lambda *_: None
    )
    victims = attack_victims.victims(attacked, cfg)
    seen = attack_victims.observations(
      attacked,
      cfg,
      victims,
      attack_victims.public_speech(attacked, victims),
      attack_victims.public_utterances(attacked, cfg, victims),
    )
    for victim, observed in zip(victims, seen, strict=True):
      problem = adaptive.problem_of(observed, cfg.adaptive, lambda line: None)
      yield victim.name, problem, len(victim.spoken[0].features)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
