"""Runs a training config from an empty cache and records what it took.

  python benchmarks/main_job.py RESULT.json --config=... [flags of main]

RESULT.json gets the command, the machine, the versions, and: seconds of the
whole process, of compiling and of a round (median, after compilation), clients
per second, times real time, padding waste, peak memory, WER and CER at the end
and at each evaluation. The work directory and the feature cache are temporary
unless --workdir is given.
"""

import json
import pathlib
import platform
import resource
import statistics
import sys
import tempfile
import time


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  started = time.perf_counter()
  result, flags = pathlib.Path(argv[1]), argv[2:]
  with tempfile.TemporaryDirectory() as scratch:
    record = measured(flags, scratch, started)
  record = {'command': ' '.join(['main_job.py', *argv[1:]]), **record}
  result.write_text(json.dumps(record, indent=2) + '\n')
  print(json.dumps(record, indent=2))
  return 0


def measured(flags: list[str], scratch: str, started: float) -> dict:
  """Trains with these flags; what it took, by name."""
  from fedjax_asr import (
    command_line,
    compilation_cache,
    environment,
    run_files,
    run_log,
  )
  from fedjax_asr.jobs import train

  defaults = [
    f'--workdir={scratch}/run',
    f'--config.data.cache_dir={scratch}/cache',
  ]
  # A repeated flag holds its last value, so these are defaults only; but an
  # override may not come before --config.
  at = next(i for i, flag in enumerate(flags) if flag.startswith('--config='))
  flags = [flags[at], *defaults, *flags[:at], *flags[at + 1 :]]
  command = command_line.parse(['main_job.py', *flags])
  compilation_cache.enable(command.config.data.cache_dir)
  train.run(command.config, command.workdir)
  seconds = time.perf_counter() - started
  files = run_files.RunFiles(command.workdir)
  rounds = run_log.read_metrics(files.metrics)
  return {
    'machine': machine(),
    'versions': environment.versions(),
    'total_seconds': round(seconds, 1),
    **summary(rounds),
    **memory(),
  }


def machine() -> dict:
  import jax

  devices = jax.devices()
  lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
  names = {line.partition(': ')[2] for line in lines if 'model name' in line}
  cores = sum('model name' in line for line in lines)
  return {
    'cpu': ', '.join(sorted(names)) or platform.processor(),
    'cores': cores,
    'devices': [device.device_kind for device in devices],
  }


def summary(rounds: list[dict]) -> dict:
  """Medians over the rounds; the first one is not counted."""

  def median(name):
    return round(statistics.median(row[name] for row in rounds[1:]), 4)

  evaluated = [row for row in rounds if row.get('eval/wer') is not None]
  return {
    'num_rounds': len(rounds),
    'compile_seconds': round(rounds[0]['compile_seconds'], 1),
    'round_seconds': median('round_seconds'),
    'clients_per_second': median('clients_per_second'),
    'times_real_time': median('times_real_time'),
    'padding_waste': round(
      statistics.mean(row['padding_waste'] for row in rounds), 4
    ),
    'final': {
      name: value
      for name, value in evaluated[-1].items()
      if name.startswith('eval/')
    },
    'wer_by_round': {
      str(row['round']): round(row['eval/wer'], 4) for row in evaluated
    },
  }


def memory() -> dict:
  """Peak of the process, and of the first device where it is counted."""
  import jax

  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  counted = jax.devices()[0].memory_stats() or {}
  record = {'peak_host_gb': round(peak / 1e9, 2)}
  if 'peak_bytes_in_use' in counted:
    device_peak = counted['peak_bytes_in_use']
    record['peak_device_gb'] = round(device_peak / 1e9, 2)
  return record


if __name__ == '__main__':
  sys.exit(main(sys.argv))
