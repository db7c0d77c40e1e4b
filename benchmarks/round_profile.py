"""Where a round's time goes on the device, by XLA operation.

  python benchmarks/round_profile.py RESULT.json [flags of round.py]

Traces one jitted round (of the first cohort, block and number of steps) with
JAX's profiler, and adds up the time of its kernels by the name that XLA gave
their operation and by its source, largest first. CUDA graphs hide what is in
them: set XLA_FLAGS="--xla_gpu_enable_command_buffer=".
"""

import collections
import json
import pathlib
import sys
import tempfile

import main_job
import round as round_benchmark

NUM_LINES = 40


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  from fedjax_asr import environment

  chosen = round_benchmark.options(argv[2:])
  record = {
    'command': ' '.join(['round_profile.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    **profiled(chosen),
  }
  pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
  print(json.dumps(record, indent=1))
  return 0


def profiled(chosen: dict) -> dict:
  import jax

  first = [int(chosen[name].split(',')[0]) for name in _NAMES]
  simulation = round_benchmark.Simulation(chosen, *first)

  def run():
    on_device = simulation.gathered(simulation.fed)
    outcome = simulation.run(simulation.members, on_device)
    jax.block_until_ready((simulation.state, outcome))

  run()
  sources = _sources(simulation.round_fn.as_text())
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      run()
    (path,) = pathlib.Path(folder).rglob('*.xplane.pb')
    data = jax.profiler.ProfileData.from_file(str(path))
    times, counts = _times(data)
  total = sum(times.values())
  by_source = collections.Counter()
  for name, taken in times.items():
    by_source[sources.get(name, '?')] += taken
  return {
    **dict(zip(_NAMES, first, strict=True)),
    'kernel_ms': round(total, 2),
    'by_operation': [
      {
        'operation': name,
        'ms': round(taken, 3),
        'share': round(taken / total, 3),
        'count': counts[name],
        'source': sources.get(name, '?'),
      }
      for name, taken in times.most_common(NUM_LINES)
    ],
    'by_source': [
      {
        'source': source,
        'ms': round(taken, 3),
        'share': round(taken / total, 3),
      }
      for source, taken in by_source.most_common(NUM_LINES)
    ],
  }


_NAMES = ('cohorts', 'blocks', 'steps')


def _times(data):
  """Milliseconds and number of each operation's kernels."""
  times, counts = collections.Counter(), collections.Counter()
  for plane in data.planes:
    if not plane.name.startswith('/device:GPU'):
      continue
    for line in plane.lines:
      if not line.name.startswith('Stream'):
        continue
      for event in line.events:
        stats = dict(event.stats)
        name = str(stats.get('hlo_op', event.name))
        times[name] += event.duration_ns / 1e6
        counts[name] += 1
  return times, counts


def _sources(text: str) -> dict[str, str]:
  """The Python operation of each HLO operation, from its metadata."""
  sources = {}
  for line in text.splitlines():
    name, equals, rest = line.strip().removeprefix('ROOT ').partition(' = ')
    start = rest.find('op_name="')
    if equals and start >= 0:
      op_name = rest[start + 9 :].partition('"')[0]
      sources[name.lstrip('%')] = op_name[-120:]
  return sources


if __name__ == '__main__':
  sys.exit(main(sys.argv))
