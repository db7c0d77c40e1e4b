"""Configuration records in general: ranges, errors, walks, JSON."""

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Iterator
from typing import Any


class UserError(ValueError):
  """A mistake that the user can mend; `main` prints it as one line."""

  exit_status = 2


class ConfigError(UserError):
  """A field holds a value that cannot work."""


def bounded(
  default: Any,
  low: float = -math.inf,
  high: float = math.inf,
  *,
  above: float = -math.inf,
  below: float = math.inf,
) -> Any:
  """A field whose number (or each number of a tuple) lies in a range.

  `low` and `high` are allowed values themselves, `above` and `below` are not.
  """
  metadata = {'low': low, 'high': high, 'above': above, 'below': below}
  return dataclasses.field(default=default, metadata=metadata)


def walk(node: Any, path: str = 'config') -> Iterator[tuple]:
  """Yields (path, field, declared type, value) of every leaf field."""
  hints = typing.get_type_hints(type(node))
  for field in dataclasses.fields(node):
    value = getattr(node, field.name)
    field_path = f'{path}.{field.name}'
    if dataclasses.is_dataclass(value):
      yield from walk(value, field_path)
    else:
      yield field_path, field, hints[field.name], value


def as_dict(config: Any) -> dict[str, Any]:
  """Plain dictionaries and lists, as `json.dumps` takes them."""
  return plain(dataclasses.asdict(config))


def plain(value: Any) -> Any:
  """Enums as their values, tuples as lists, throughout."""
  match value:
    case dict():
      return {key: plain(item) for key, item in value.items()}
    case tuple() | list():
      return [plain(item) for item in value]
    case enum.Enum():
      return value.value
  return value


def from_dict(record: type, values: Any, path: str = 'config') -> Any:
  """The record of a dictionary that `as_dict` made.

  Types and ranges are `validation.validate`'s concern.

  Raises:
    ConfigError: a section is no dictionary, a field is missing or unknown, or
      a value is none of an enumeration's.
  """
  if not isinstance(values, dict):
    raise ConfigError(f'{path}={values!r}; want a section.')
  hints = typing.get_type_hints(record)
  for name in [*hints, *values]:
    if name not in values or name not in hints:
      what = 'missing' if name in hints else 'no such field'
      raise ConfigError(f'{path}.{name}: {what}.')
  return record(
    **{
      name: _value(hint, values[name], f'{path}.{name}')
      for name, hint in hints.items()
    }
  )


def _value(hint: Any, value: Any, path: str) -> Any:
  if dataclasses.is_dataclass(hint):
    return from_dict(typing.cast(type, hint), value, path)
  if isinstance(hint, type) and issubclass(hint, enum.Enum):
    try:
      return hint(value)
    except ValueError:
      names = ', '.join(item.value for item in hint)
      raise ConfigError(f'{path}={value!r}; want one of {names}.') from None
  return tuple(value) if isinstance(value, list) else value


def wanted(hint: Any) -> str:
  """What a field of a type may hold, in words."""
  if isinstance(hint, types.GenericAlias):
    item_type, *_ = typing.get_args(hint)
    example = ('a', 'b') if item_type is str else (1, 2)
    return f'a tuple of {item_type.__name__}, such as {example}'
  if issubclass(hint, enum.Enum):
    return f'one of {", ".join(item.value for item in hint)}'
  nouns = {bool: 'true or false', int: 'an integer', float: 'a number'}
  return nouns.get(hint, 'text')
