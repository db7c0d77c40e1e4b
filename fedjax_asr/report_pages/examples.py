"""Held-out utterances that a run kept to be listened to."""

import pathlib
from typing import NamedTuple

from fedjax_asr.figures import drawn_run

# How an utterance was chosen, in the order of reading.
ROLES = ('best', 'median', 'worst')


class Example(NamedTuple):
  """audio: None where there is none. role: of `ROLES`, or ''."""

  utterance: str
  speaker: str
  group: str
  reference: str
  hypothesis: str
  wer: float | None
  cer: float | None
  seconds: float | None
  audio: pathlib.Path | None
  role: str


def read(run: drawn_run.DrawnRun) -> list[Example]:
  """Those of the last evaluation.

  Raises:
    Missing: the run kept none, or they are of another version.
  """
  return [_example(run, row) for row in run.examples]


def _example(run: drawn_run.DrawnRun, row: dict) -> Example:
  told = Example(**{name: row[name] for name in Example._fields})
  if not told.audio:
    return told._replace(audio=None)
  # A name, not a path that leads elsewhere.
  path = run.files.examples / pathlib.PurePath(told.audio).name
  return told._replace(audio=path if _is_heard(path) else None)


def _is_heard(path: pathlib.Path) -> bool:
  return path.is_file() and path.stat().st_size > 0
