"""Memory and time of what clients keep, against the size of the population.

  python benchmarks/client_memory.py RESULT.json [--where=disk]
      [--populations=16,32,64] [--cohort=8] [--megabytes=40]

Every client of each population takes part twice, a cohort a round, and keeps a
row of so many megabytes (40: the parameters of DeepSpeech 2 `base`), which is
gathered from a temporary folder, or from where else `--where` says (host,
device, auto), changed on the device and scattered back, with a sync every
second round as before a checkpoint. Each population has a process of its own,
whose peak of resident memory is recorded; rows are checked.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import main_job
import timing

_DEFAULTS = {
  'where': 'disk',
  'populations': '16,32,64',
  'cohort': '8',
  'megabytes': '40',
}


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  from fedjax_asr import environment

  chosen = _DEFAULTS | dict(
    flag.removeprefix('--').split('=', 1) for flag in argv[2:]
  )
  record = {
    'command': ' '.join(['client_memory.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'rows': [],
  }
  for population in map(int, chosen['populations'].split(',')):
    record['rows'].append(_in_a_process(population, chosen))
    print(json.dumps(record['rows'][-1]), flush=True)
    pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
  return 0


def _in_a_process(population: int, chosen: dict[str, str]) -> dict:
  program = (
    'import client_memory, json, sys; '
    'print(json.dumps(client_memory.measured(*map(json.loads, sys.argv[1:]))))'
  )
  arguments = [
    json.dumps(value)
    for value in (
      population,
      int(chosen['cohort']),
      float(chosen['megabytes']),
      chosen['where'],
    )
  ]
  done = subprocess.run(
    [sys.executable, '-c', program, *arguments],
    cwd=pathlib.Path(__file__).parent,
    capture_output=True,
    text=True,
    check=True,
  )
  return json.loads(done.stdout)


def measured(
  population: int, cohort: int, megabytes: float, where: str
) -> dict:
  """Two rounds of every client; peak memory and seconds of a round."""
  import jax
  import numpy as np

  with tempfile.TemporaryDirectory() as folder:
    memories = _memories(pathlib.Path(folder), population, megabytes, where)
    before = _peak_gb()
    change = jax.jit(
      lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0
    )
    gathering, scattering = [], []
    for index in range(2 * population // cohort):
      ids = (np.arange(cohort) + index * cohort) % population
      ids = ids.reshape(1, 1, cohort)
      start = time.perf_counter()
      kept = jax.block_until_ready(memories.gather(ids, {}, {}))
      gathering.append(time.perf_counter() - start)
      # Of a number for each time that a client took part.
      times = index * cohort // population
      if not (np.asarray(kept.algorithm) == times).all():
        raise AssertionError('rows were mixed up')
      kept = jax.block_until_ready(change(kept))
      start = time.perf_counter()
      memories.scatter(index + 1, ids, kept)
      if index % 2:
        memories.sync(index + 1)
        memories.prune([index + 1])
      scattering.append(time.perf_counter() - start)
  return {
    'population': population,
    'cohort': cohort,
    'megabytes_a_client': megabytes,
    'population_gb': round(population * megabytes / 1e3, 2),
    'peak_gb_before': round(before, 2),
    'peak_gb': round(_peak_gb(), 2),
    'gather_seconds': timing.spread(gathering),
    'scatter_seconds': timing.spread(scattering),
  }


def _memories(folder, population, megabytes, where):
  import jax
  import jax.numpy as jnp

  from fedjax_asr import config
  from fedjax_asr.federated import (
    client_memory,
    client_rows,
    memory_place,
    rounds,
  )

  size = round(megabytes * 1e6 / 4)
  layout = client_memory.RowLayout(
    jax.tree.structure(rounds.ClientMemory(0, ())),
    [jax.ShapeDtypeStruct((size,), jnp.dtype('float32'))],
  )
  device_list = jax.local_devices()[:1]
  place = memory_place.chosen(
    config.MemoryPlace(where), layout, population, device_list
  )
  return memory_place.opened(
    place,
    lambda params, norm_state: rounds.ClientMemory(jnp.zeros(size), ()),
    layout,
    client_rows.ClientRows(folder / 'rows', layout.num_bytes, 0),
    device_list,
    population,
  )


def _peak_gb() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == '__main__':
  sys.exit(main(sys.argv))
