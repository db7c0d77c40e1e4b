"""Seconds and memory of the job `report`, of generated runs and of others.

  python benchmarks/report_speed.py RESULT.json [--run=DIR] [--rounds=10000]
      [--utterances=2000] [--speakers=100] [--clips=2000]

Writes a run of so many rounds, utterances, speakers and clips of two seconds,
which has no checkpoint, or takes the one given, and reports on it by the
command line, in a process and a folder of their own. The record has the seconds
of the whole process, in which JAX starts, those in which it computed, its peak
of resident memory in GB, and the bytes of what it left.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import generated_run
import main_job

_DEFAULTS = {
  'run': '',
  'rounds': '10000',
  'utterances': '2000',
  'speakers': '100',
  'clips': '2000',
}


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  chosen = options(argv[2:])
  with tempfile.TemporaryDirectory() as scratch:
    record = {
      'command': ' '.join(['report_speed.py', 'RESULT.json', *_told(argv[2:])]),
      **measured(chosen, pathlib.Path(scratch)),
    }
  pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
  print(json.dumps(record, indent=1))
  return 0


def _told(flags: list[str]) -> list[str]:
  """Without where a run lies, which is somebody's."""
  return ['--run=DIR' if flag.startswith('--run') else flag for flag in flags]


def options(flags: list[str]) -> dict[str, str]:
  chosen = dict(_DEFAULTS)
  for flag in flags:
    name, _, value = flag.lstrip('-').partition('=')
    if name not in chosen:
      raise SystemExit(f'error: {flag}; want one of {", ".join(chosen)}.')
    chosen[name] = value
  return chosen


def measured(chosen: dict[str, str], scratch: pathlib.Path) -> dict:
  """The record, without its command."""
  from fedjax_asr import environment

  run = pathlib.Path(chosen['run'] or scratch / 'generated')
  if not chosen['run']:
    generated_run.write(
      run,
      num_rounds=int(chosen['rounds']),
      num_utterances=int(chosen['utterances']),
      num_speakers=int(chosen['speakers']),
      num_clips=int(chosen['clips']),
      seconds=2.0,
    )
  folder = scratch / 'report'
  return {
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'num_rounds': len((run / 'metrics.jsonl').read_text().splitlines()),
    **_reported(run, folder),
    'bytes': {
      file.name: file.stat().st_size
      for file in sorted(folder.rglob('*'))
      if file.suffix in ('.html', '.md', '.tex', '.png', '.pdf')
    },
  }


def _reported(run: pathlib.Path, folder: pathlib.Path) -> dict:
  words = ['-m', 'fedjax_asr.main', '--config=report']
  started = time.perf_counter()
  child = subprocess.Popen(
    [
      sys.executable,
      *words,
      f'--config.report.run={run}',
      f'--workdir={folder}',
    ]
  )
  _, status, used = os.wait4(child.pid, 0)
  child.returncode = os.waitstatus_to_exitcode(status)
  if child.returncode:
    raise SystemExit(f'error: the job ended with status {child.returncode}.')
  return {
    'seconds': round(time.perf_counter() - started, 2),
    'cpu_seconds': round(used.ru_utime + used.ru_stime, 2),
    # Linux has it in kilobytes.
    'peak_gb': round(used.ru_maxrss * 1024 / 1e9, 3),
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
