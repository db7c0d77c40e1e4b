"""Lines of a corpus's text files, and what may be wrong with one."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from fedjax_asr.corpora import problem, utterance

_Kind = problem.Kind
_BYTE_ORDER_MARK = b'\xef\xbb\xbf'


class LineError(Exception):
  """What is wrong with a line: kind, id and reason."""


def content(path: pathlib.Path, what: str) -> bytes:
  """Of a file, without a byte order mark.

  Raises:
    CorpusError: the file, which is `what` of a corpus, cannot be read.
  """
  try:
    return path.read_bytes().removeprefix(_BYTE_ORDER_MARK)
  except OSError as error:
    raise utterance.CorpusError(
      f'{path}: cannot read {what}: {error.strerror}.'
    ) from None


def numbered(path: pathlib.Path, what: str) -> list[tuple[int, bytes]]:
  """Lines that are not blank, without their ends, with their numbers from 1.

  Raises:
    CorpusError: as `content`.
  """
  lines = content(path, what).split(b'\n')
  return [
    (number, line.rstrip(b'\r'))
    for number, line in enumerate(lines, 1)
    if line.strip()
  ]


def decoded(line: bytes) -> str:
  """Raises LineError where it is not UTF-8."""
  try:
    return line.decode()
  except UnicodeDecodeError:
    raise LineError(_Kind.BAD_LINE, '', 'not UTF-8.') from None


def json_object(line: bytes) -> dict[str, Any]:
  """Raises LineError where the line is no object in JSON."""
  try:
    fields = json.loads(line)
  except UnicodeDecodeError:
    raise LineError(_Kind.BAD_LINE, '', 'not UTF-8.') from None
  except (ValueError, RecursionError) as error:
    raise LineError(_Kind.BAD_LINE, '', f'not JSON: {error}.') from None
  if not isinstance(fields, dict):
    raise LineError(_Kind.BAD_LINE, '', 'not a JSON object.')
  return fields


def string(
  fields: Mapping[str, Any], name: str, *, may_be_empty: bool = False
) -> str:
  """Raises LineError where it is absent or something else."""
  if name not in fields:
    raise LineError(_Kind.BAD_LINE, str(fields.get('id', '')), f'lacks {name}.')
  value = fields[name]
  if not isinstance(value, str) or not (value or may_be_empty):
    raise wrong(fields, name, 'a string')
  return value


def name(fields: Mapping[str, Any], field: str) -> str | None:
  """A string, or a number as some have it; None where absent or null."""
  value = fields.get(field)
  if value is None:
    return None
  if type(value) not in (str, int) or value == '':
    raise wrong(fields, field, 'a string')
  return str(value)


def present(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
  """The first of these fields that is there and not null."""
  return next((each for each in names if fields.get(each) is not None), None)


def first_name(fields: Mapping[str, Any], names: Sequence[str]) -> str:
  """`name` of the first of these fields that is `present`; '' of none."""
  field = present(fields, names)
  return (field and name(fields, field)) or ''


def listed(names: Sequence[str]) -> str:
  """'a, b or c', of two names or more."""
  return f'{", ".join(names[:-1])} or {names[-1]}'


def wrong(fields: Mapping[str, Any], field: str, wanted: str) -> LineError:
  reason = f'{field}={fields[field]!r}; want {wanted}.'
  return LineError(_Kind.BAD_LINE, str(fields.get('id', '')), reason)


def is_file(path: pathlib.Path) -> bool:
  try:
    return path.is_file()
  except (OSError, ValueError):  # Too long a name; a null character in it.
    return False
