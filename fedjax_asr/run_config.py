"""The config that a run was left with, compared with the one asked for."""

import copy
import operator
import pathlib
from collections.abc import Sequence
from typing import Any

from fedjax_asr import config as config_lib
from fedjax_asr import json_file, run_error

_MAX_SHOWN = 5


def read(file: pathlib.Path) -> dict[str, Any]:
  """The config there, with defaults for what it lacks: see `completed`.

  Raises:
    RunError: it cannot be read, or is no JSON object.
  """
  saved = json_file.read(file)
  if not isinstance(saved, dict):
    raise run_error.RunError(f'{file} is not a JSON object.')
  return completed(saved, config_lib.as_dict(config_lib.Config()))


def completed(saved: Any, defaults: Any) -> Any:
  """An earlier version's section with the fields and sections that came later.

  Their defaults are what every run before them did: a field that is added keeps
  to that. (Of transcripts with digits or tags, versions before `data.numbers`
  cut these out, which no value does now.) What the schema has not is left, for
  `config.from_dict` to refuse.
  """
  if not isinstance(saved, dict) or not isinstance(defaults, dict):
    return saved
  return saved | {
    name: completed(saved.get(name, default), default)
    for name, default in defaults.items()
  }


def continued(
  saved: dict[str, Any], config: config_lib.Config
) -> config_lib.Config:
  """With what the corpus decided when the run began, where that is open.

  `saved`, here and below, is what `read` gave.
  """
  config = copy.deepcopy(config)
  leaves = dict(_leaves(saved))
  for name in config_lib.open_fields(config):
    if name == _ROUNDS and leaves.get(_UTTERANCES) != (
      config.federated.num_utterances
    ):
      continue
    section, _, field = name.rpartition('.')
    if type(leaves.get(name)) in (int, float):
      setattr(operator.attrgetter(section)(config), field, leaves[name])
  return config


_ROUNDS = 'federated.num_rounds'
# By which they are found where they are left open.
_UTTERANCES = 'federated.num_utterances'


def changes(
  saved: dict[str, Any], config: config_lib.Config, ignored: Sequence[str]
) -> list[str]:
  """Each field that differs, with both values; `ignored` ones do not count.

  Sections of other jobs change nothing of a run.
  """
  absent = '(no such field)'
  return [
    f'{path}: {_shown(old)} -> {_shown(new)}'
    for path, (old, new) in differing(saved, config, ignored, absent).items()
  ]


def differing(
  saved: dict[str, Any],
  config: config_lib.Config,
  ignored: Sequence[str],
  absent: Any = None,
) -> dict[str, tuple[Any, Any]]:
  """Both values of each field that `changes` names: saved, and of `config`.

  `absent` is that of a field that one of them has not.
  """
  wanted = config_lib.as_dict(config)
  old, new = (
    dict(_leaves(_of_job(values, config.job))) for values in (saved, wanted)
  )
  return {
    path: (old.get(path, absent), new.get(path, absent))
    for path in dict.fromkeys([*new, *old])
    if path not in ignored and old.get(path, absent) != new.get(path, absent)
  }


def listed(changes: Sequence[str]) -> str:
  """The first few, and how many more there are."""
  more = len(changes) - _MAX_SHOWN
  shown = ', '.join(changes[:_MAX_SHOWN])
  return shown + (f' and {more} more' if more > 0 else '')


def _of_job(values: dict[str, Any], job: config_lib.Job) -> dict[str, Any]:
  """All but the sections of other jobs, which change nothing."""
  others = set(config_lib.Job) - {job}
  return {name: value for name, value in values.items() if name not in others}


def _leaves(node: dict[str, Any], prefix: str = ''):
  for name, value in node.items():
    if isinstance(value, dict):
      yield from _leaves(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', value


def _shown(value: Any) -> str:
  return str(value) if value != '' else "''"
