"""How a field says that it cannot work."""

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
