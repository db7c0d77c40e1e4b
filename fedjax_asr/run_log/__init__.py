"""The metrics of a run, one JSON object a line, mirrored to TensorBoard."""

import contextlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from fedjax_asr import run_directory, run_error, whole_file
from fedjax_asr.run_log import scalar_events


class Lines:
  """A file of JSON objects, one a round.

  It reads as if the run had never been interrupted: on opening, rounds after
  `resume_after` and a line that was cut off are dropped, in one move.
  """

  def __init__(self, path: pathlib.Path, resume_after: int | None):
    _drop_later_rounds(path, -1 if resume_after is None else resume_after)
    self._path = path
    self._file = path.open('a', encoding='utf-8')

  def write(self, record: Mapping[str, Any]) -> None:
    """Adds one line, which outlives the process from here on.

    Raises:
      RunError: the line cannot be written, as on a full disk.
    """
    try:
      self._file.write(json.dumps(record, allow_nan=False) + '\n')
      self._file.flush()
    except OSError as error:
      raise run_error.RunError(
        f'{self._path}: {error.strerror}; the same command resumes.'
      ) from error

  def close(self) -> None:
    # What could not be written was raised by `write`.
    with contextlib.suppress(OSError):
      self._file.close()


class MetricsLog:
  """Appends to `metrics.jsonl`, and mirrors it to TensorBoard."""

  def __init__(self, run: run_directory.RunDirectory, resume_after: int | None):
    first = -1 if resume_after is None else resume_after
    self._lines = Lines(run.metrics, resume_after)
    self._path = run.metrics
    self._events = scalar_events.ScalarEvents(run.tensorboard, first + 1)

  def write(self, round_index: int, metrics: Mapping[str, Any]) -> None:
    """Adds one line, which outlives the process from here on.

    Args:
      round_index: the first field of the line.
      metrics: numbers, also of NumPy or JAX; NaN and infinity become null.

    Raises:
      RunError: the line cannot be written, as on a full disk.
    """
    record: dict[str, Any] = {'round': int(round_index)}
    record |= {name: _plain(value) for name, value in metrics.items()}
    self._lines.write(record)
    scalars = {
      name: value
      for name, value in record.items()
      if name != 'round' and value is not None
    }
    try:
      self._events.write(round_index, scalars)
    except OSError as error:
      raise run_error.RunError(
        f'{self._path}: {error.strerror}; the same command resumes.'
      ) from error

  def close(self) -> None:
    self._lines.close()
    self._events.close()

  def __enter__(self) -> 'MetricsLog':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
  """The lines of a run's `metrics.jsonl`, as `read_lines`."""
  return read_lines(path)


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
  """The whole lines of such a file, in order; a cut-off last is left out.

  Raises:
    RunError: there is no such file, or a line before the last is no object
      with a round.
  """
  try:
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
  except OSError as error:
    raise run_error.RunError(
      f'{path}: {error.strerror}; want the {path.name} of a run.'
    ) from error
  records = []
  for number, line in enumerate(lines, start=1):
    record = _record(line)
    if record is not None:
      records.append(record)
    elif number < len(lines):
      raise run_error.RunError(
        f'{path}, line {number}: {line[:40]!r}; want a JSON object with '
        'a round.'
      )
  return records


def _drop_later_rounds(path: pathlib.Path, last_round: int) -> None:
  records = read_lines(path) if path.exists() else []
  lines = [
    json.dumps(record) + '\n'
    for record in records
    if record['round'] <= last_round
  ]
  whole_file.replace_text(path, ''.join(lines))


def _record(line: str) -> dict[str, Any] | None:
  try:
    record = json.loads(line)
  except ValueError:
    return None
  if not isinstance(record, dict) or not isinstance(record.get('round'), int):
    return None
  return record


def _plain(value: Any) -> float | int | None:
  """A Python number, also of a NumPy or JAX scalar."""
  number = value.item() if hasattr(value, 'item') else value
  finite = number is not None and math.isfinite(number)
  return number if finite else None
