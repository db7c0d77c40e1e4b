"""Traces of clients' speeds: CSV with a header.

`client` is its name in the partition, `seconds_per_step` what a local step
takes it; `available_from` and `available_until`, both or neither, are the
virtual seconds between which it is there. A client may have several lines with
windows that do not overlap; without windows it has one and is always there.
"""

import csv
import difflib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fedjax_asr import config

_FIELD = 'config.federated.systems.trace'
_SPEED = ('client', 'seconds_per_step')
_WINDOW = ('available_from', 'available_until')
# Clients that a message names.
_NUM_NAMED = 5


class Window(NamedTuple):
  """A stretch of virtual seconds in which a client is there.

  client: its index in the population.
  line: of the trace.
  """

  client: int
  seconds_per_step: float
  since: float
  until: float
  line: int


def read(path: str, names: Sequence[str]) -> list[Window]:
  """All windows of a trace for clients of these names, in its order.

  Raises:
    config.ConfigError: it cannot be read, names others or not all of them, or
      a line says what cannot be.
  """
  try:
    with open(path, encoding='utf-8-sig', newline='') as file:
      windows = list(_windows(path, csv.reader(file, strict=True), names))
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    reason = getattr(error, 'strerror', None) or error
    raise config.ConfigError(
      f'{_FIELD}={path!r}: {reason}; want a readable CSV file.'
    ) from error
  missing = sorted(set(range(len(names))) - {each.client for each in windows})
  if missing:
    raise config.ConfigError(
      f'{_FIELD}={path!r} lacks {_named([names[index] for index in missing])}; '
      f'want all {len(names)} clients of the population.'
    )
  _check_apart(path, windows, names)
  return windows


def _windows(path, lines: Iterator[list[str]], names) -> Iterator[Window]:
  header = tuple(cell.strip() for cell in next(lines, []))
  if set(header) not in (set(_SPEED), {*_SPEED, *_WINDOW}) or len(
    set(header)
  ) < len(header):
    raise config.ConfigError(
      f'{_FIELD}={path!r} has columns {", ".join(header) or "none"}; want '
      f'{", ".join(_SPEED)} and, or not, {", ".join(_WINDOW)}.'
    )
  index_of = {name: index for index, name in enumerate(names)}
  unknown: list[str] = []
  # The header is line 1 wherever it ends; quoted cells may hold new lines.
  for row in lines:
    number = lines.line_num  # pyright: ignore[reportAttributeAccessIssue]
    if not row:
      continue
    if len(row) != len(header):
      raise _line_error(path, number, ','.join(row), f'{len(header)} values')
    cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
    window = _window(path, number, cells, index_of.get(cells['client'], -1))
    if window.client < 0:
      unknown.append(cells['client'])
      continue
    yield window
  if unknown:
    near = difflib.get_close_matches(unknown[0], names, 3, cutoff=0)
    raise config.ConfigError(
      f'{_FIELD}={path!r} has unknown {_named(list(dict.fromkeys(unknown)))}; '
      f'want clients of the population, such as {", ".join(near)}.'
    )


def _window(path, number, cells, client) -> Window:
  def value(column: str, wanted: str, met) -> float:
    try:
      found = float(cells[column])
    except ValueError:
      found = math.nan
    if not met(found):
      cell = f'{column}={cells[column]!r}'
      raise _line_error(path, number, cell, wanted)
    return found

  pace = value('seconds_per_step', 'a number > 0', lambda x: 0 < x < math.inf)
  since, until = 0.0, math.inf
  if _WINDOW[0] in cells:
    since = value(
      'available_from', 'a number >= 0', lambda x: 0 <= x < math.inf
    )
    until = value(
      'available_until',
      f'a number > available_from={since:g}',
      lambda x: x > since,
    )
  return Window(client, pace, since, until, number)


def _check_apart(
  path: str, windows: Iterable[Window], names: Sequence[str]
) -> None:
  ordered = sorted(windows, key=lambda each: (each.client, each.since))
  for first, second in itertools.pairwise(ordered):
    if first.client == second.client and second.since < first.until:
      raise _line_error(
        path,
        second.line,
        f'client={names[second.client]!r}',
        f'a window that does not overlap with that of line {first.line}',
      )


def _line_error(path, number: int, what: str, wanted: str):
  return config.ConfigError(
    f'{_FIELD}={path!r}, line {number}: {what}; want {wanted}.'
  )


def _named(clients: Sequence[str]) -> str:
  more = len(clients) - _NUM_NAMED
  shown = ', '.join(map(repr, clients[:_NUM_NAMED]))
  return f'client {shown}' + (f' and {more} more' if more > 0 else '')
