"""Which utterances can be trained on, decided before training."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.corpora import problem, utterance
from fedjax_asr.speech import text

_Kind = problem.Kind


class Audit(NamedTuple):
  """Indices of the utterances to keep, and what is wrong with the others.

  `problems` holds warnings about kept utterances too.
  """

  kept: list[int]
  problems: list[problem.Problem]


def audit(
  utterances: Sequence[utterance.Utterance],
  num_frames: Int[np.ndarray, ' utterances'],
  failures: Mapping[str, problem.Problem],
  num_output_frames: Callable[[int], int],
) -> Audit:
  """Each utterance is kept or has exactly one problem that is no warning.

  Args:
    utterances: the corpus.
    num_frames: of its feature store.
    failures: of its feature store.
    num_output_frames: the model's output frames for so many input frames.
  """
  kept, problems = [], []
  for index, item in enumerate(utterances):
    found = failures.get(item.id) or _transcript_problem(item)
    if found is None or found.is_warning:
      frames = num_output_frames(int(num_frames[index]))
      found = _length_problem(item, frames) or found
    if found is None or found.is_warning:
      kept.append(index)
    if found is not None:
      problems.append(found)
  return Audit(kept, problems)


def settle(
  problems: Sequence[problem.Problem], on_bad: config.OnBadUtterance
) -> None:
  """Raises `CorpusError` for `error` if there is a problem, not a warning."""
  fatal = [each for each in problems if not each.is_warning]
  if fatal and on_bad is config.OnBadUtterance.ERROR:
    first = fatal[0]
    raise utterance.CorpusError(
      f'{len(fatal)} bad utterances (config.data.on_bad_utterance=error); '
      f'the first: {first.utterance or first.source}: {first.reason}'
    )


def write(problems: Iterable[problem.Problem], path: pathlib.Path) -> None:
  """One JSON object a line; bytes of names that are not UTF-8 as '\\udcff'."""
  with path.open('w', encoding='utf-8', errors='backslashreplace') as file:
    for each in problems:
      file.write(json.dumps(each._asdict(), ensure_ascii=False) + '\n')


def _transcript_problem(item: utterance.Utterance) -> problem.Problem | None:
  normalized = text.normalize(item.text)
  dropped = ''.join(dict.fromkeys(normalized.dropped))
  num_lost = sum(character.isalnum() for character in normalized.dropped)
  num_kept = len(normalized.text.replace(' ', ''))
  if num_lost > num_kept:
    kind = _Kind.OTHER_ALPHABET
    reason = f'most of the transcript is outside the alphabet: {dropped!r}.'
  elif not num_kept:
    kind, reason = _Kind.EMPTY_TRANSCRIPT, 'the transcript is empty.'
  elif dropped:
    kind = _Kind.DROPPED_CHARACTERS
    reason = f'dropped from the transcript: {dropped!r}.'
  else:
    return None
  return _problem(item, kind, reason)


def _length_problem(
  item: utterance.Utterance, num_output_frames: int
) -> problem.Problem | None:
  labels = text.encode(text.normalize(item.text).text)
  needed = text.min_ctc_frames(labels)
  if needed <= num_output_frames:
    return None
  reason = (
    f'{num_output_frames} output frames for {len(labels)} labels; CTC needs '
    f'{needed}.'
  )
  return _problem(item, _Kind.TOO_SHORT, reason)


def _problem(
  item: utterance.Utterance, kind: str, reason: str
) -> problem.Problem:
  return problem.Problem(item.id, item.source.describe(), kind, reason)
