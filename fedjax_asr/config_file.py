"""A config file: a Python file with `get_config(variant='')` and `sweep()`."""

import importlib.util
import inspect
import pathlib
import traceback
import types
from typing import Any

from fedjax_asr import config as config_lib


class ConfigFileError(config_lib.UserError):
  """A config file that cannot be read, or does not know the variant."""


def split(path_and_variant: str) -> tuple[str, str]:
  """`configs/a.py:smoke` is the file `configs/a.py` and the variant `smoke`."""
  path, _, variant = path_and_variant.partition(':')
  return path, variant


def load(path: str) -> types.ModuleType:
  """Runs a config file.

  Raises:
    ConfigFileError: there is no such file, it raises, or has no `get_config`.
  """
  if not pathlib.Path(path).is_file():
    raise ConfigFileError(
      f'--config={path}: no such file; want a config file, such as '
      'configs/ds2_fedavg.py.'
    )
  spec = importlib.util.spec_from_file_location('config_file', path)
  if spec is None or spec.loader is None:
    raise ConfigFileError(f'--config={path}; want a Python file (.py).')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:
    raise ConfigFileError(_reason(path, error)) from error
  if not callable(getattr(module, 'get_config', None)):
    raise ConfigFileError(f'{path} has no function get_config(variant).')
  return module


def read(path_and_variant: str) -> config_lib.Config:
  """The config of a file's variant, not yet validated.

  Raises:
    ConfigFileError: as `load`, or the file does not know the variant.
  """
  path, variant = split(path_and_variant)
  config = _call(path, load(path).get_config, variant)
  if not isinstance(config, config_lib.Config):
    raise ConfigFileError(
      f'{path}: get_config({variant!r}) is of type {type(config).__name__}; '
      'want a fedjax_asr.config.Config.'
    )
  return config


def sweep(path_and_variant: str) -> list[dict[str, Any]]:
  """The points of a file's `sweep()`: each maps field paths to values.

  A `sweep(variant)` is given the variant.
  """
  path, variant = split(path_and_variant)
  module = load(path)
  if not callable(getattr(module, 'sweep', None)):
    raise ConfigFileError(f'{path} has no function sweep().')
  arguments = (variant,) if inspect.signature(module.sweep).parameters else ()
  points = _call(path, lambda: list(module.sweep(*arguments)))
  for point in points:
    if not isinstance(point, dict):
      raise ConfigFileError(
        f'{path}: sweep() yields {point!r}; want a dict such as '
        "{'federated.cohort_size': 16}."
      )
  return points


def _call(path: str, function: Any, *arguments: Any) -> Any:
  try:
    if arguments:
      inspect.signature(function).bind(*arguments)
    return function(*arguments)
  except config_lib.UserError as error:
    raise ConfigFileError(f'{path}: {error}') from error
  except Exception as error:
    raise ConfigFileError(_reason(path, error)) from error


def _reason(path: str, error: Exception) -> str:
  """The error, and the line of the config file that it comes from."""
  if isinstance(error, SyntaxError):
    return f'{error.filename or path}, line {error.lineno}: {error.msg}.'
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if frame.filename.endswith(pathlib.Path(path).name)
  ]
  where = f'{path}, line {lines[-1]}' if lines else path
  text = ' '.join(str(error).split()) or 'no message'
  # A ValueError is how `get_config` says what it wants; others are mistakes.
  name = '' if type(error) is ValueError else f'{type(error).__name__}: '
  return f'{where}: {name}{text}'
