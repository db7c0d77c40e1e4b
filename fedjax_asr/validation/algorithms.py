"""What goes with a federated algorithm, and what it would not read."""

import dataclasses
import operator

from fedjax_asr import config
from fedjax_asr.validation import requirement

# Sections of `config.federated` that are named as the algorithm they set.
_SECTIONS = (config.AlgorithmName.FEDPROX,)


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` where a field and the algorithm do not go together."""
  for name in _SECTIONS:
    _check_unread(cfg, name)


def _check_unread(cfg: config.Config, name: config.AlgorithmName) -> None:
  """A field that the algorithm would not read is refused, not passed over."""
  if cfg.federated.algorithm is name:
    return
  section = operator.attrgetter(name.value)(cfg.federated)
  default = type(section)()
  for field in dataclasses.fields(section):
    unread = getattr(default, field.name)
    requirement.require(
      cfg,
      f'federated.{name}.{field.name}',
      getattr(section, field.name) == unread,
      f'{config.plain(unread)!r} without federated.algorithm={name}',
    )
