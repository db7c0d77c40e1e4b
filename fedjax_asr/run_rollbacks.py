"""Each time that a run diverged and went back: `rollbacks.json`."""

from collections.abc import Sequence
from typing import NamedTuple

from fedjax_asr import json_file, run_error, run_files


class Rollback(NamedTuple):
  """diverged: the round that did, and `why`, in words.

  round: that the run went back to.
  scale: of the step in the rounds after it, all rollbacks together.
  """

  diverged: int
  why: str
  round: int
  scale: float


def read(files: run_files.RunFiles) -> list[Rollback]:
  """All of a run, the oldest first.

  Raises:
    RunError: the file is damaged.
  """
  if not files.rollbacks.exists():
    return []
  found = json_file.read(files.rollbacks)
  fields = Rollback._fields
  if not isinstance(found, list) or not all(
    isinstance(values, dict) and values.keys() == {*fields} for values in found
  ):
    raise run_error.RunError(
      f'{files.rollbacks}: want a list of objects with the fields '
      f'{", ".join(fields)}.'
    )
  return [Rollback(**values) for values in found]


def write(files: run_files.RunFiles, rollbacks: Sequence[Rollback]) -> None:
  """All of a run, whole or not at all; no file for none."""
  if rollbacks or files.rollbacks.exists():
    values = [rollback._asdict() for rollback in rollbacks]
    json_file.write(files.rollbacks, values)


def as_of(rollbacks: Sequence[Rollback], round_index: int) -> list[Rollback]:
  """Those behind what follows a round: up to the last that went no later.

  Later ones are of rounds that such a run has yet to train.
  """
  behind = 0
  for number, rollback in enumerate(rollbacks, start=1):
    if rollback.round <= round_index:
      behind = number
  return list(rollbacks[:behind])


def scale(rollbacks: Sequence[Rollback]) -> float:
  """Of the step, after these."""
  return rollbacks[-1].scale if rollbacks else 1.0
