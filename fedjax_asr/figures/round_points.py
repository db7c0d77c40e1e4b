"""Rounds of runs that were audited, or a record of them.

A record is JSON, {"points": [POINT, ...]}, of points as `decision_points` has
them, each with its `round`; 0: before the first. Points that differ in the seed
alone are a mean.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fedjax_asr import run_error
from fedjax_asr.figures import audit_panels, decision_points, measured_values


class Point(NamedTuple):
  """errors: the parts that failed; delta: of every epsilon, None: none."""

  round: int
  noise: float
  seed: int
  delta: float | None
  errors: Sequence[str]
  values: audit_panels.Values


def read(path: pathlib.Path) -> list[Point]:
  """Points of a record.

  Raises:
    RunError: it is damaged, has no points, or one is of another form.
  """
  return points(decision_points.read(path))


def points(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
  """Raises `RunError` where a row is of another form."""
  try:
    return [_point(row) for row in rows]
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise run_error.RunError(
      f'a point of the record is of another form: {error!r}.'
    ) from error


def _point(row: Mapping[str, Any]) -> Point:
  return Point(
    round=int(row['round']),
    noise=float(row['noise_multiplier']),
    seed=int(row.get('seed') or 0),
    delta=(row.get('epsilon') or {}).get('delta'),
    errors=tuple(row.get('errors') or ()),
    values=measured_values.of(row),
  )
