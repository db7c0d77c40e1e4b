"""A config file: a Python file with `get_config(variant='')` and `sweep()`.

Those that come with the package, in a checkout's `configs/`, have names too.
"""

import ast
import importlib.util
import inspect
import pathlib
import traceback
import types
from collections.abc import Mapping
from typing import Any, TypeVar

from fedjax_asr import config as config_lib

_PACKAGE = pathlib.Path(__file__).resolve().parent
# In an installed package, and in a checkout.
_FOLDERS = (_PACKAGE / 'configs', _PACKAGE.parent / 'configs')

_Of = TypeVar('_Of')


class ConfigFileError(config_lib.UserError):
  """A config file that cannot be read, or does not know the variant."""


def split(source: str) -> tuple[str, str]:
  """`configs/a.py:smoke` is the file `configs/a.py` and the variant `smoke`.

  A path may have colons: the longest that names a config is taken, or else all
  up to the last colon, where that may be a path.
  """
  ends = [len(source)]
  ends += [i for i in reversed(range(len(source))) if source[i] == ':']
  for end in ends:
    if _found(source[:end]) is not None:
      return source[:end], source[end + 1 :]
  path, _, variant = source.rpartition(':')
  is_path = '/' in variant or variant.endswith('.py')
  return (source, '') if is_path or not path else (path, variant)


def shipped() -> dict[str, str]:
  """The first line of what each config that comes with us says, by name."""
  docstrings = {
    name: ast.get_docstring(ast.parse(file.read_bytes())) or ''
    for name, file in _shipped().items()
  }
  return {name: text.partition('\n')[0] for name, text in docstrings.items()}


def _shipped() -> dict[str, pathlib.Path]:
  folder = next((path for path in _FOLDERS if path.is_dir()), _FOLDERS[0])
  return {file.stem: file for file in sorted(folder.glob('*.py'))}


def _found(path: str) -> pathlib.Path | None:
  """The file of a path, or of a shipped config's name; None for neither."""
  file = _shipped().get(path, pathlib.Path(path))
  try:
    return file if file.is_file() else None
  except (OSError, ValueError):  # Too long a name; a null character in it.
    return None


def load(path: str) -> types.ModuleType:
  """Runs a config file, given by its path or its name if it comes with us.

  Raises:
    ConfigFileError: there is no such file, it raises, or has no `get_config`.
  """
  file = _found(path)
  if file is None:
    raise ConfigFileError(
      f'--config={path}: no such file; want a config file, or one of '
      f'{", ".join(_shipped())}.'
    )
  spec = importlib.util.spec_from_file_location('config_file', file)
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


def variants(path: str) -> tuple[str, ...]:
  """Those that a file names by `chosen`; the default alone of another.

  Raises:
    ConfigFileError: as `load`.
  """
  module = load(path)
  try:
    module.get_config(_NO_VARIANT)
  except _VariantError as error:
    return error.variants
  except Exception:
    return ('',)
  return ('',)


# Of no config file.
_NO_VARIANT = '\0'


class _VariantError(ValueError):
  def __init__(self, variant: str, variants: tuple[str, ...]):
    names = ', '.join(repr(name) for name in variants)
    wanted = 'none' if variants == ('',) else f'one of {names}'
    super().__init__(f'variant {variant!r}; want {wanted}.')
    self.variants = variants


def chosen(variant: str, variants: Mapping[str, _Of]) -> _Of:
  """What a config file has for a variant; '' is the default.

  Raises:
    ValueError: there is no such variant; `read` and `sweep` make one line of
      it.
  """
  if variant not in variants:
    raise _VariantError(variant, tuple(variants))
  return variants[variant]


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
  name = (_found(path) or pathlib.Path(path)).name
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if pathlib.Path(frame.filename).name == name
  ]
  where = f'{path}, line {lines[-1]}' if lines else path
  text = ' '.join(str(error).split()) or 'no message'
  # A ValueError is how `get_config` says what it wants; others are mistakes.
  kind = (
    ''
    if type(error) in (ValueError, _VariantError)
    else f'{type(error).__name__}: '
  )
  return f'{where}: {kind}{text}'
