"""What the figures of a run are drawn from: its directory, and nothing else.

A run may be under way, cut off, of another version, or have measured little:
each thing is read when a figure asks for it, and what is not there is said in
the figure's place (`Missing`).
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

from fedjax_asr import (
  config,
  json_file,
  run_alphabet,
  run_config,
  run_example,
  run_files,
  run_log,
  saved_run,
)
from fedjax_asr.decoding import scores
from fedjax_asr.speech import alphabets

_EXAMPLE = {*run_example.RunExample._fields}
Series = tuple[Float64[np.ndarray, ' rounds'], Float64[np.ndarray, ' rounds']]


class Missing(Exception):
  """Why a figure cannot be drawn, in a sentence for the reader."""


class DrawnRun:
  """Facts of a run, read once.

  Raises, from each of its properties:
    Missing: there is none of it.
  """

  def __init__(self, path: pathlib.Path):
    self.path = path
    self.files = run_files.RunFiles(path)

  @property
  def name(self) -> str:
    return self.path.name or str(self.path)

  @functools.cached_property
  def config(self) -> config.Config:
    """As it was trained, with defaults for what came later."""
    values = run_config.completed(
      self._json(self.files.config_json), config.as_dict(config.Config())
    )
    return _or_missing(lambda: config.from_dict(config.Config, values))

  @functools.cached_property
  def alphabet(self) -> alphabets.Alphabet:
    """Of its labels."""
    return _or_missing(lambda: run_alphabet.read(self.files.alphabet))

  @functools.cached_property
  def saved(self) -> saved_run.SavedRun:
    """With the parameters of its last round that is kept."""
    return _or_missing(lambda: saved_run.load(self.path, 'report.run'))

  @functools.cached_property
  def metrics(self) -> list[dict[str, Any]]:
    """A record a round; never empty."""
    records = _or_missing(lambda: run_log.read_metrics(self.files.metrics))
    if not records:
      raise Missing(f'{self.files.metrics.name} has no round yet.')
    return records

  def series(self, name: str) -> Series:
    """The rounds that have a value, and the values; maybe none."""
    return series(self.metrics, name)

  @functools.cached_property
  def population(self) -> dict[str, Any]:
    """As the job `train` describes its clients."""
    return self._json(self.files.population)

  @functools.cached_property
  def clients(self) -> list[dict[str, Any]]:
    """Of each round that tells of clients, lists with an entry for each."""
    return _or_missing(lambda: run_log.read_lines(self.files.clients))

  @functools.cached_property
  def transcripts(self) -> list[scores.Transcript]:
    """Of the last evaluation: held-out speakers, or else utterances."""
    try:
      rows = self._json(self.files.transcripts)['transcripts']
      return [scores.Transcript(**row) for row in rows]
    except (KeyError, TypeError) as error:
      name = self.files.transcripts.name
      raise Missing(f'{name} is of another version ({error}).') from error

  @functools.cached_property
  def examples(self) -> list[dict[str, Any]]:
    """Some held-out utterances, as the end of `train` leaves them: a
    dictionary of `RunExample`'s fields each, never none."""
    file = self.files.example_records
    if not file.is_file():
      raise Missing(
        f'no {self.files.examples.name}/{file.name}: the run is not finished, '
        'holds nothing out, has config.evaluation.num_kept_examples=0, or is '
        'of a version that left none.'
      )
    rows = self._json(file)
    try:
      if rows and all(row.keys() >= _EXAMPLE for row in rows):
        return rows
    except (AttributeError, TypeError):
      pass
    raise Missing(f'{file.name} is of another version.')

  @functools.cached_property
  def speakers(self) -> dict[str, Any]:
    """The round of the last evaluation, and scores of each of its speakers."""
    return self._json(self.files.speakers)

  @functools.cached_property
  def versions(self) -> list[dict[str, Any]]:
    """Of each environment that the run went on in."""
    return self._json(self.files.versions_json)

  def _json(self, path: pathlib.Path) -> Any:
    return _or_missing(lambda: json_file.read(path))


def _or_missing(read: Callable[[], Any]) -> Any:
  try:
    return read()
  except config.UserError as error:
    raise Missing(str(error)) from error


def series(records: list[dict[str, Any]], name: str) -> Series:
  """The rounds of those records that have a value, and the values.

  One that is not finite is none: runs write null for it.
  """
  pairs = [
    (record['round'], record[name])
    for record in records
    if isinstance(record.get(name), int | float) and np.isfinite(record[name])
  ]
  rounds, values = np.array(pairs, np.float64).reshape(-1, 2).T
  return rounds, values
