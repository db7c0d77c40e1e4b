"""Utterances of a corpus as its reader finds them."""

import operator
import pathlib
from collections.abc import Iterable

from fedjax_asr.corpora import lines, problem, utterance

_Kind = problem.Kind


class Collection:
  """Utterances with unique ids, by id, and what is wrong with others."""

  def __init__(self, path: str | pathlib.Path):
    """`path`: of the corpus, for what concerns all of it."""
    self._path = str(path)
    self._num_nameless = 0
    self.found: dict[str, utterance.Utterance] = {}
    self.problems: list[problem.Problem] = []

  def add(self, item: utterance.Utterance, place: str) -> None:
    """An id that is taken is a problem; `place` is a path, or 'path:line'.

    Without speaker, an utterance counts as a speaker of its own, so that
    nothing claims two utterances to be one person's.
    """
    if item.id in self.found:
      reason = f'repeats the id {item.id!r}.'
      self.refuse(_Kind.DUPLICATE_ID, item.id, place, reason)
      return
    self._num_nameless += not item.speaker
    self.found[item.id] = item._replace(speaker=item.speaker or item.id)

  def refuse(self, kind: str, name: str, place: str, reason: str) -> None:
    self.problems.append(problem.Problem(name, place, kind, reason))

  def refuse_line(self, error: lines.LineError, place: str) -> None:
    kind, name, reason = error.args
    self.refuse(kind, name, place, reason)

  def result(self) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
    """In their order, but for segments, which come together.

    Those of one file come by their offset in the place of the first, so that
    it is decoded once. How many have no speaker is the last of the problems.
    """
    if self._num_nameless:
      reason = (
        f'{self._num_nameless} of {len(self.found)} lines name no speaker; '
        'each counts as a speaker, and a client where none is named, of its '
        'own.'
      )
      self.refuse(_Kind.NO_SPEAKER, '', self._path, reason)
    return _together(self.found.values()), self.problems


def _together(
  items: Iterable[utterance.Utterance],
) -> list[utterance.Utterance]:
  by_file: dict[str, list[tuple[float, utterance.Utterance]]] = {}
  for item in items:
    file, offset = _place(item)
    by_file.setdefault(file, []).append((offset, item))
  return [
    item
    for same in by_file.values()
    for _, item in sorted(same, key=operator.itemgetter(0))
  ]


def _place(item: utterance.Utterance) -> tuple[str, float]:
  """The file, and where in it."""
  source = item.source
  if isinstance(source, utterance.AudioFile):
    return source.path, source.offset
  return source.describe(), 0.0
