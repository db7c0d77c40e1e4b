"""Fields of the config, as `--help=WORD` shows them."""

import dataclasses
import difflib
import functools
import inspect
import operator
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from fedjax_asr import config as config_lib
from fedjax_asr import validation

_FIELD = re.compile(r'  (\w+): ')
_COMMENT = re.compile(r'  # ?(.*)')


class HelpError(config_lib.UserError):
  """No field is called that."""


def text(word: str, config: config_lib.Config) -> str:
  """Every field with `word` in its path: type, value in `config`, range, doc.

  Fields come by section, and each section with its own line of documentation.

  Raises:
    HelpError: there is none.
  """
  leaves = list(config_lib.walk(config))
  wanted = word.lstrip('-').lower()
  found = [leaf for leaf in leaves if wanted in leaf[0].lower()]
  if not found:
    paths = [leaf[0] for leaf in leaves]
    names = {path.rpartition('.')[2]: path for path in paths}
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.0)
    raise HelpError(
      f'--help={word}: no field has that in its name; nearest: '
      f'{", ".join(names[name] for name in near)}.'
    )
  return '\n'.join(_lines(found, config))


def _lines(found: list[tuple], config: config_lib.Config) -> Iterator[str]:
  last = ''
  for path, field, hint, value in found:
    section = path.rpartition('.')[0]
    record = _section(config, section)
    if section != last:
      last = section
      yield f'{section}: {_first_sentence(record)}'
    yield f'  --{path}={_shown(value)}'
    yield from _wrapped(_kind(hint, field.metadata))
    yield from _wrapped(_comments(type(record)).get(field.name, ''))


def _section(config: config_lib.Config, path: str) -> Any:
  _, _, inside = path.partition('.')
  return operator.attrgetter(inside)(config) if inside else config


def _first_sentence(record: Any) -> str:
  documentation = inspect.getdoc(type(record)) or ''
  return ' '.join(documentation.partition('\n\n')[0].split())


def _shown(value: Any) -> str:
  plain = config_lib.plain(value)
  if isinstance(plain, list):
    return f"'{value}'"
  return "''" if plain == '' else str(plain)


def _kind(hint: Any, limits: Any) -> str:
  terms = validation.range_text(limits) if limits else ''
  return f'{config_lib.wanted(hint)} {terms}'.strip()


def _wrapped(line: str) -> list[str]:
  indent = ' ' * 6
  return textwrap.wrap(
    line, 80, initial_indent=indent, subsequent_indent=indent
  )


@functools.cache
def _comments(record: type) -> dict[str, str]:
  """The comment above each field of a dataclass, or on its line."""
  found, above = {}, []
  for line in inspect.getsource(record).splitlines():
    comment, field = _COMMENT.fullmatch(line), _FIELD.match(line)
    if comment:
      above.append(comment[1])
      continue
    if field:
      found[field[1]] = ' '.join(above)
    above = []
  names = {field.name for field in dataclasses.fields(record)}
  return {name: found[name] for name in names if found.get(name)}
