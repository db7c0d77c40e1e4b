"""How a field says that it cannot work."""

from typing import Any

from fedjax_asr import config


def require(met: bool, path: str, value: Any, wanted: str) -> None:
  """Raises `ConfigError` with the field, its value and what is wanted."""
  if not met:
    raise config.ConfigError(
      f'config.{path}={config.plain(value)!r}; want {wanted}.'
    )
