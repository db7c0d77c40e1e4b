"""Prints one command for each point of a config's `sweep()`.

  python launch/sweep.py --config=configs/ds2_fedavg.py[:variant] [flags]

Other flags are passed on to every command. Each point has a work directory of
its own, named by its overrides, so that a command run again resumes its point.
Run them all with `python launch/sweep.py --config=... | sh`.
"""

import enum
import re
import shlex
import sys
from typing import Any

from fedjax_asr import command_line, config_file
from fedjax_asr import config as config_lib


def main(argv: list[str]) -> int:
  """The exit status: 0, or 2 for a mistake of the user."""
  if {'--help', '-help', '-h'} & set(argv[1:]):
    print(__doc__)
    return 0
  try:
    print('\n'.join(commands(argv)))
  except config_lib.UserError as error:
    print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
    return 2
  return 0


def commands(argv: list[str]) -> list[str]:
  """A shell command for each point; every one has passed validation.

  Raises:
    UserError: a flag is wrong, the config has no sweep, or a point of it has
      an unknown field, a value that cannot work, or the same overrides as
      another point.
  """
  plain = command_line.parse(argv)
  path, _ = config_file.split(plain.source)
  found: dict[str, str] = {}
  for point in config_file.sweep(plain.source):
    overrides = [
      f'--config.{name}={_text(value)}' for name, value in point.items()
    ]
    workdir = f'{plain.workdir}-{_label(point)}'
    flags = [*argv[1:], *overrides, f'--workdir={workdir}']
    _check(path, point, [argv[0], *flags])
    if workdir in found:
      raise config_file.ConfigFileError(
        f'{path}: sweep() yields {point!r} twice.'
      )
    found[workdir] = shlex.join(
      [sys.executable, '-m', 'fedjax_asr.main', *flags]
    )
  return list(found.values())


def _check(path: str, point: dict[str, Any], argv: list[str]) -> None:
  try:
    command_line.parse(argv)
  except config_lib.UserError as error:
    raise config_file.ConfigFileError(
      f'{path}: sweep() yields {point!r}: {error}'
    ) from error


def _label(point: dict[str, Any]) -> str:
  """The overrides as a file name; the plain run has none, so a point must."""
  pairs = [f'{name}={_text(value)}' for name, value in point.items()]
  return re.sub(r'[^\w.=,+-]+', '', '-'.join(pairs)) or 'default'


def _text(value: Any) -> str:
  return value.value if isinstance(value, enum.Enum) else str(value)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
