"""Runs an experiment, or a job on one that is finished (`config.job`).

  python -m fedjax_asr.main --config=configs/ds2_fedavg.py[:variant]
      [--workdir=runs/mine] [--allow_config_change] [--config.<field>=value]

The same command resumes training that was interrupted.
"""

import importlib
import io
import os
import sys

from fedjax_asr import command_line
from fedjax_asr import config as config_lib

# A job that is started again goes on where it was interrupted, or starts anew.
_RESUMED = (config_lib.Job.TRAIN, config_lib.Job.ATTACK)
_INTERRUPTED = 130


def main(argv: list[str]) -> int:
  """The exit status: 0; 2 for a mistake of the user; 130 for Ctrl-C."""
  _print_any_name()
  if {'--help', '-help', '-h'} & set(argv[1:]):
    print(__doc__)
    return 0
  resumes = False
  try:
    command = command_line.parse(argv)
    resumes = command.config.job in _RESUMED
    _run(command)
  except config_lib.UserError as error:
    print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    goes_on = 'resumes this run' if resumes else 'starts anew'
    print(f'interrupted; the same command {goes_on}.', file=sys.stderr)
    return _INTERRUPTED
  return 0


def _print_any_name() -> None:
  """Bytes of names that are not UTF-8 are printed escaped, as on stderr."""
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')


def _run(command: command_line.Command) -> None:
  # JAX takes seconds to import; a mistyped flag is answered without it.
  job = importlib.import_module(f'fedjax_asr.jobs.{command.config.job}')
  cache = importlib.import_module('fedjax_asr.compilation_cache')
  cache.enable(command.config.data.cache_dir)
  job.run(
    command.config,
    command.workdir,
    allow_config_change=command.allow_config_change,
  )


def _leave(status: int) -> None:
  """Ends the process, at once if it was interrupted.

  What JAX was computing goes on in its own threads, and Python crashes where it
  is taken down around them.
  """
  if status == _INTERRUPTED:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)


if __name__ == '__main__':
  _leave(main(sys.argv))
