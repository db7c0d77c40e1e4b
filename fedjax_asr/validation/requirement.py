"""How a field says that it cannot work."""

import dataclasses
import operator

from fedjax_asr import config


def require(cfg: config.Config, path: str, met: bool, wanted: str) -> None:
  """Raises `ConfigError` with the field, its value and what is wanted.

  Args:
    cfg: the whole config, in which the value is looked up.
    path: of the field from there, as `data.path`.
    met: whether the value can work.
    wanted: what would, in words.
  """
  if not met:
    value = config.plain(operator.attrgetter(path)(cfg))
    raise config.ConfigError(f'config.{path}={value!r}; want {wanted}.')


def read(cfg: config.Config, path: str, is_read: bool, reader: str) -> None:
  """Raises `ConfigError` for a field that is set and that nothing would read.

  Args:
    cfg: the whole config.
    path: of a field, or of a section, whose fields then are meant.
    is_read: whether anything reads it.
    reader: the setting with which something would, in words.
  """
  of_path = operator.attrgetter(path)
  found, default = of_path(cfg), of_path(config.Config())
  if dataclasses.is_dataclass(found):
    for field in dataclasses.fields(found):
      read(cfg, f'{path}.{field.name}', is_read, reader)
    return
  wanted = f'{config.plain(default)!r} without {reader}'
  require(cfg, path, is_read or found == default, wanted)
