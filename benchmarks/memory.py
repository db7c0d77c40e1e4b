"""Memory of a round against cohort and block size, as XLA plans it.

  python benchmarks/memory.py RESULT.json [--model=ds2_base] [--dtype=...]
      [--cohorts=64,256,1024] [--blocks=16,32,64,128] [--steps=1,4]

Compiles the round of round.py for each; nothing runs. `temporary_gb` is what a
round needs beside its arguments; the arguments are the server's state, which
does not grow, and the cohort's speech, which is given per client.
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

  defaults = ['--cohorts=64,256,1024', '--blocks=16,32,64,128']
  chosen = round_benchmark.options([*defaults, *argv[2:]])
  record = {
    'command': ' '.join(['memory.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'rows': [],
  }
  for steps, cohort_size, block in _points(chosen):
    simulation = round_benchmark.Simulation(chosen, cohort_size, block, steps)
    record['rows'].append(
      {
        'cohort': cohort_size,
        'block': block,
        'steps': steps,
        **planned(simulation, cohort_size),
      }
    )
    print(json.dumps(record['rows'][-1]), flush=True)
    pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
  return 0


def _points(chosen):
  values = [
    [int(value) for value in chosen[name].split(',')]
    for name in ('steps', 'blocks', 'cohorts')
  ]
  for steps in values[0]:
    for block in values[1]:
      for cohort_size in values[2]:
        if block <= cohort_size:
          yield steps, cohort_size, block


def planned(simulation, cohort_size: int) -> dict:
  """What XLA's buffer assignment says."""
  import jax

  memory = simulation.round_fn.memory_analysis()
  speech = sum(leaf.nbytes for leaf in jax.tree.leaves(simulation.members))
  return {
    'temporary_gb': round(memory.temp_size_in_bytes / 1e9, 3),
    'server_state_gb': round((memory.argument_size_in_bytes - speech) / 1e9, 3),
    'speech_mb_per_client': round(speech / cohort_size / 1e6, 3),
    'compile_seconds': round(simulation.compile_seconds, 1),
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
