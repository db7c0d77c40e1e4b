"""A job of `main` in a process of its own, on a device and for a time.

What it leaves in its work directory is the result; a process that is out of
time is interrupted as by Ctrl-C, so that what was done is there.
"""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Sequence

_GRACE_SECONDS = 20
_NUM_CHARACTERS = 500


def run(
  flags: Sequence[str], devices: 'queue.Queue[str]', seconds: float
) -> str:
  """'' where the job ended well; else what it said last, or how it ended.

  Waits for one of `devices`, each the value of CUDA_VISIBLE_DEVICES ('': as it
  is), and gives it back. `seconds` of 0: without a limit.
  """
  device = devices.get()
  try:
    return _run(flags, device, seconds)
  finally:
    devices.put(device)


def turns(num_jobs: int, num_devices: int) -> 'queue.Queue[str]':
  """A place for each job, spread over so many devices; 0: as it is."""
  places: queue.Queue[str] = queue.Queue()
  for index in range(num_jobs):
    places.put(str(index % num_devices) if num_devices else '')
  return places


def _run(flags: Sequence[str], device: str, seconds: float) -> str:
  environment = dict(os.environ)
  # Many processes share a device, and each core has one of them.
  environment.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  environment.setdefault('OPENBLAS_NUM_THREADS', '1')
  if device:
    environment['CUDA_VISIBLE_DEVICES'] = device
  with subprocess.Popen(
    [sys.executable, '-m', 'fedjax_asr.main', *flags],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    env=environment,
  ) as process:
    try:
      said, _ = process.communicate(timeout=seconds or None)
    except subprocess.TimeoutExpired:
      _end(process)
      return f'stopped after {seconds:g} s'
  if not process.returncode:
    return ''
  return said[-_NUM_CHARACTERS:].strip() or f'exit status {process.returncode}'


def _end(process: 'subprocess.Popen[str]') -> None:
  process.send_signal(signal.SIGINT)
  try:
    process.communicate(timeout=_GRACE_SECONDS)
  except subprocess.TimeoutExpired:
    process.kill()
    process.communicate()
