"""The command that a run can be made again with.

A run keeps its resolved config, not its command: what comes with the package is
searched for the config that differs least, and the rest are flags.
"""

import functools
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from fedjax_asr import config as config_lib
from fedjax_asr import config_file, run_config, run_directory

# Characters that a shell takes literally between double quotes.
_NOT_IN_QUOTES = set('"\\$`!\n')


class Command(NamedTuple):
  """text: to be given to a shell. left_out: fields that no flag can set."""

  text: str
  left_out: list[str]


class _Match(NamedTuple):
  source: str
  differences: dict[str, tuple[Any, Any]]


def reproducing(saved: dict[str, Any]) -> Command | None:
  """Of a config as `run_config.read` gives it; None of a job without configs.

  A config whose name is the run's is taken before all others.
  """
  matches = [
    (config.name != saved.get('name'), len(found.differences), found)
    for source, config in _shipped()
    if config.job == saved.get('job')
    for found in [_Match(source, _differences(saved, config))]
  ]
  if not matches:
    return None
  *_, best = min(matches, key=lambda match: match[:2])
  flags, left_out = [], []
  for path, (old, new) in best.differences.items():
    # A flag does not set to None; another version had fields of its own.
    if old is None or new is _ABSENT:
      left_out.append(path)
    else:
      flags.append(f'--config.{path}={_quoted(_as_flag(old))}')
  words = [f'python -m fedjax_asr.main --config={best.source}', *flags]
  return Command(' \\\n  '.join(words), left_out)


@functools.cache
def _shipped() -> Sequence[tuple[str, config_lib.Config]]:
  """(source, config) of all variants of what comes with the package."""
  sources = [
    f'{name}:{variant}' if variant else name
    for name in config_file.shipped()
    for variant in config_file.variants(name)
  ]
  return [(source, config_file.read(source)) for source in sources]


def _differences(saved: dict[str, Any], config: config_lib.Config):
  """What the corpus decided (`config.BY_CORPUS`) is said: it might have been
  the user."""
  return run_config.differing(saved, config, run_directory.PLACES, _ABSENT)


_ABSENT = object()


def _as_flag(value: Any) -> str:
  if isinstance(value, list):
    return repr(_as_tuple(value))
  return str(value).lower() if isinstance(value, bool) else str(value)


def _as_tuple(value: Any) -> Any:
  if isinstance(value, list):
    return tuple(_as_tuple(each) for each in value)
  return value


def _quoted(text: str) -> str:
  if shlex.quote(text) == text or _NOT_IN_QUOTES & set(text):
    return shlex.quote(text)
  return f'"{text}"'
