"""Runs an experiment, or a job on one that is finished (`config.job`).

  python -m fedjax_asr.main --config=configs/ds2_fedavg.py[:variant]
      [--workdir=runs/mine] [--allow_config_change] [--config.<field>=value]

  --help=WORD lists the fields with WORD in their path (--help=config all of
  them), with their values in --config, ranges and meaning; --version.

The same command resumes training that was interrupted. A config that comes with
the package goes by its name too: --config=ds2_fedavg:smoke.
"""

from fedjax_asr import interruption

if __name__ == '__main__':
  # First and for good: what is imported below takes time already.
  interruption.catch_for_good()

import contextlib
import importlib
import io
import os
import signal
import sys
from importlib import metadata

from fedjax_asr import (
  command_line,
  config_file,
  field_help,
  home,
  lasting_stream,
)
from fedjax_asr import config as config_lib

# A job that is started again goes on where it was interrupted, or starts anew.
_RESUMED = (
  config_lib.Job.TRAIN,
  config_lib.Job.ATTACK,
  config_lib.Job.AUDIT,
)
# What a shell makes of SIGPIPE.
_BROKEN_PIPE = 141


def main(argv: list[str]) -> int:
  """The exit status: 0; 2 for a mistake of the user; 1 for training that
  diverged; 130 for Ctrl-C, 143 for SIGTERM, likewise 138 and 129 for SIGUSR1
  and SIGHUP.
  """
  _print_any_name()
  if {'--help', '-help', '-h'} & set(argv[1:]):
    return _shown(f'{__doc__}\n{_configs()}', 0)
  if {'--version', '-version'} & set(argv[1:]):
    return _shown(f'fedjax_asr {metadata.version("fedjax_asr")}', 0)
  resumes = False
  try:
    with interruption.caught() as signals:
      helped = _helped(argv)
      if helped:
        return _shown(helped, 0)
      command = command_line.parse(argv)
      resumes = command.config.job in _RESUMED
      with _lasting_streams(command.config.job):
        _run(command)
  except command_line.NoConfigError as error:
    _say(f'error: {error}')
    return _shown(_configs(), 2)
  except config_lib.UserError as error:
    _say(f'error: {" ".join(str(error).split())}')
    return error.exit_status
  except KeyboardInterrupt as error:
    number = getattr(error, 'signal', signal.SIGINT)
    how = (
      'interrupted' if number == signal.SIGINT else f'ended by {number.name}'
    )
    goes_on = 'resumes this run' if resumes else 'starts anew'
    _say(f'{how}; the same command {goes_on}.')
    return interruption.SIGNALLED + number
  return _finished(signals.came)


def _finished(came: int | None) -> int:
  """The exit status; a signal is told even where it ended nothing."""
  if came is None:
    return 0
  _say(f'finished before {signal.Signals(came).name} could end it.')
  return interruption.SIGNALLED + came


def _helped(argv: list[str]) -> str:
  """What `--help=WORD` asks for; '' where there is no such flag."""
  flags = dict(_flag(word) for word in argv[1:])
  if 'help' not in flags:
    return ''
  source = flags.get('config')
  config = config_file.read(source) if source else config_lib.Config()
  return field_help.text(flags['help'], config)


def _flag(word: str) -> tuple[str, str]:
  name, _, value = word.lstrip('-').partition('=')
  return name, value


def _configs() -> str:
  """The configs that come with the package, one a line."""
  found = config_file.shipped()
  width = max(map(len, found), default=0)
  return '\n'.join(f'  {name:{width}}  {line}' for name, line in found.items())


def _shown(text: str, status: int) -> int:
  """Prints; the exit status, which tells of a reader who had enough."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    # As `head` has; Python would flush once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE
  return status


def _print_any_name() -> None:
  """Bytes of names that are not UTF-8 are printed escaped, as on stderr."""
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')


def _say(line: str) -> None:
  """On standard error, if somebody reads it."""
  with contextlib.suppress(OSError):
    print(line, file=sys.stderr, flush=True)


def _lasting_streams(job: config_lib.Job) -> contextlib.AbstractContextManager:
  """Results go to files and outlast the console, but for transcripts."""
  if job is config_lib.Job.TRANSCRIBE:
    return contextlib.nullcontext()
  return lasting_stream.standard_streams()


def _run(command: command_line.Command) -> None:
  home.lend_to_libraries(command.config.data.cache_dir)
  interruption.check()
  # JAX takes seconds to import; a mistyped flag is answered without it.
  job = importlib.import_module(f'fedjax_asr.jobs.{command.config.job}')
  interruption.check()
  cache = importlib.import_module('fedjax_asr.compilation_cache')
  cache.enable(command.config.data.cache_dir)
  importlib.import_module('fedjax_asr.backend').start()
  interruption.check()
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
  if status > interruption.SIGNALLED:
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(OSError):
        stream.flush()
    os._exit(status)
  sys.exit(status)


if __name__ == '__main__':
  _leave(main(sys.argv))
