"""Rounds on several devices against one: strong and weak scaling.

  python benchmarks/scaling.py RESULT.json [--devices=2] [--cohorts=512]
      [--blocks=64] [--steps=1,4] [--model=ds2_base] [--rounds=4]

Strong: the same cohort on one device and on all. Weak: the cohort of one device
times the number of devices. Rates as in round.py, of the jitted round and of
rounds as the training job runs them.
"""

import json
import pathlib
import sys

import main_job
import round as round_benchmark


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  from fedjax_asr import environment

  chosen = round_benchmark.options(['--devices=2', '--cohorts=512', *argv[2:]])
  record = {
    'command': ' '.join(['scaling.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'rows': [],
  }
  for steps in map(int, chosen['steps'].split(',')):
    for cohort_size in map(int, chosen['cohorts'].split(',')):
      record['rows'].append(scaled(chosen, cohort_size, steps))
      print(json.dumps(record['rows'][-1]), flush=True)
      pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
  return 0


def scaled(chosen: dict, cohort_size: int, steps: int) -> dict:
  """One device, all with the same cohort, all with as much each."""
  count, block = int(chosen['devices']), int(chosen['blocks'])

  def rates(num_devices, cohort_size):
    point = {**chosen, 'devices': str(num_devices)}
    simulation = round_benchmark.Simulation(point, cohort_size, block, steps)
    row = simulation.measured(int(chosen['rounds']))
    return {
      name: row[name]['clients_per_second'] for name in ('round_fn', 'job')
    }

  one = rates(1, cohort_size)
  strong, weak = rates(count, cohort_size), rates(count, count * cohort_size)
  return {
    'cohort': cohort_size,
    'block': block,
    'steps': steps,
    'devices': count,
    'clients_per_second': {'one': one, 'strong': strong, 'weak': weak},
    'times_one': {
      name: {kind: round(rate[kind] / one[kind], 3) for kind in one}
      for name, rate in (('strong', strong), ('weak', weak))
    },
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
