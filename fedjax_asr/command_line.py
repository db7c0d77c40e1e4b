"""Flags: a config file, overrides of its fields, and the work directory."""

import copy
import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

from absl import flags
from ml_collections import config_flags

from fedjax_asr import config as config_lib
from fedjax_asr import config_file, validation

_OWN_FLAGS = {'config': str, 'workdir': str, 'allow_config_change': bool}
_KNOWN = '--config, --workdir, --allow_config_change or --config.<field>'


class FlagError(config_lib.UserError):
  """A flag that does not exist, or a value that it cannot hold."""


class NoConfigError(FlagError):
  """There is no `--config`."""


class Command(NamedTuple):
  """What the user asked for, valid throughout."""

  config: config_lib.Config
  # The value of --config: a file or a name, with `:variant` or without.
  source: str
  workdir: str
  allow_config_change: bool


def parse(argv: list[str]) -> Command:
  """The command of `[program, *flags]`.

  The config has its overrides and has passed validation. `workdir` is by
  default `runs/<name>`, or `runs/<name>-<variant>`; for a job on a run, it is
  in that run's directory.

  Raises:
    NoConfigError: there is no `--config`.
    UserError: names the flag or field, its value, and what was wanted.
  """
  hints = _hints(config_lib.Config())
  pieces = list(_pieces(argv[1:], hints))
  sources = [value for name, value in pieces if name == 'config' and value]
  if not sources:
    raise NoConfigError(
      '--config is missing; want a config file, or the name of one that comes '
      'with the package, such as --config=ds2_fedavg.'
    )
  command = _read(sources[-1], pieces, hints)
  validation.validate(command.config)
  return command


def _hints(config: config_lib.Config) -> dict[str, Any]:
  """The type of each flag that there is."""
  leaves = {path: hint for path, _, hint, _ in config_lib.walk(config)}
  return _OWN_FLAGS | leaves


def _pieces(
  arguments: list[str], hints: dict[str, Any]
) -> Iterator[tuple[str, str]]:
  """Yields (name, value) of each flag; a value may be a word of its own."""
  words = iter(arguments)
  for word in words:
    if not word.startswith('-'):
      raise FlagError(f'{word!r} is not a flag; want {_KNOWN}.')
    name, equals, value = word.lstrip('-').partition('=')
    if not equals and hints.get(name.removeprefix('no')) is bool:
      name, value = name.removeprefix('no'), str(not name.startswith('no'))
    _check_name(name, hints)
    if not equals and hints[name] is not bool:
      value = next(words, None)
      if value is None:
        raise FlagError(
          f'--{name} has no value; want {config_lib.wanted(hints[name])}.'
        )
    yield name, value


def _check_name(name: str, hints: dict[str, Any]) -> None:
  if name in hints:
    return
  if not name.startswith('config.'):
    raise FlagError(f'--{name}: no such flag; want {_KNOWN}.')
  inside = [path for path in hints if path.startswith(f'{name}.')]
  if inside:
    raise FlagError(
      f'--{name} is a section; want a field of it, such as --{inside[0]}.'
    )
  raise FlagError(f'--{name}: no such field; nearest: {_nearest(name, hints)}.')


def _nearest(name: str, hints: dict[str, Any]) -> str:
  """The fields of that name in other sections, or else similar paths."""
  fields = [path for path in hints if path.startswith('config.')]
  last = name.rpartition('.')[2]
  near = [path for path in fields if path.endswith(f'.{last}')]
  near = near or difflib.get_close_matches(name, fields, n=3, cutoff=0.0)
  return ', '.join(f'--{path}' for path in near[:3])


def _read(
  source: str, pieces: list[tuple[str, str]], hints: dict[str, Any]
) -> Command:
  config = config_file.read(source)
  try:
    return _parsed(config, source, pieces)
  except Exception as error:
    for name, value in pieces:
      _check_value(config, source, name, value, hints[name])
    raise FlagError(' '.join(str(error).split())) from error


def _check_value(
  config: config_lib.Config, source: str, name: str, value: str, hint: Any
) -> None:
  """The parsers' errors differ and may name no flag: try each flag alone."""
  try:
    _parsed(config, source, [(name, value)])
  except Exception as error:
    raise FlagError(
      f'--{name}={value}; want {config_lib.wanted(hint)}.'
    ) from error


def _parsed(
  config: config_lib.Config, source: str, pieces: list[tuple[str, str]]
) -> Command:
  """The file is read by `config_file`: absl cuts a path at its first colon."""
  overrides = [
    f'--{name}={value}' for name, value in pieces if name != 'config'
  ]
  argv = ['fedjax_asr', *overrides]
  values = flags.FlagValues()
  flags.DEFINE_string('workdir', '', '', flag_values=values)
  flags.DEFINE_bool('allow_config_change', False, '', flag_values=values)
  config_flags.DEFINE_config_dataclass(
    'config', copy.deepcopy(config), flag_values=values, sys_argv=argv
  )
  values(argv)
  return Command(
    config=values.config,
    source=source,
    workdir=values.workdir or _default_workdir(values.config, source),
    allow_config_change=values.allow_config_change,
  )


def _default_workdir(config: config_lib.Config, source: str) -> str:
  _, variant = config_file.split(source)
  name = f'{config.name}-{variant}' if variant else config.name
  run = getattr(getattr(config, config.job, None), 'run', '')
  return f'{run or "runs"}/{name}'
