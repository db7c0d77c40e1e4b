"""Which utterances can be trained on, decided before training."""

import json
import pathlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.corpora import problem, utterance
from fedjax_asr.speech import alphabets, transcript

_Kind = problem.Kind


class Audit(NamedTuple):
  """Indices of the utterances to keep, and what is wrong with the others.

  `problems` holds warnings about kept utterances too.
  """

  kept: list[int]
  problems: list[problem.Problem]


def audit(
  utterances: Sequence[utterance.Utterance],
  transcripts: Sequence[transcript.Transcript],
  num_frames: Int[np.ndarray, ' utterances'],
  failures: Mapping[str, problem.Problem],
  num_output_frames: Callable[[int], int],
  alphabet: alphabets.Alphabet,
) -> Audit:
  """Each utterance is kept or has exactly one problem that is no warning.

  Args:
    utterances: the corpus.
    transcripts: of the utterances.
    num_frames: of its feature store.
    failures: of its feature store.
    num_output_frames: the model's output frames for so many input frames.
    alphabet: that the transcripts are in.
  """
  kept, problems = [], []
  for index, item in enumerate(utterances):
    said = transcripts[index]
    found = failures.get(item.id) or transcript_problem(
      said, item.id, item.source.describe()
    )
    if found is None or found.is_warning:
      frames = num_output_frames(int(num_frames[index]))
      labels = alphabet.encode(said.text)
      found = _length_problem(item, labels, frames) or found
    if found is None or found.is_warning:
      kept.append(index)
    if found is not None:
      problems.append(found)
  return Audit(kept, problems)


def rate_problem(
  rates: Int[np.ndarray, ' utterances'], wanted: int, source: str
) -> problem.Problem | None:
  """A warning where recordings of a corpus have more than one sample rate.

  Args:
    rates: Hz, of its feature store.
    wanted: to which all are resampled.
    source: the corpus.
  """
  counts = Counter(rates[rates > 0].tolist()).most_common()
  if len(counts) < 2:
    return None
  listed = ', '.join(f'{count} at {rate} Hz' for rate, count in counts)
  reason = f'utterances of several sample rates, {listed}; all are resampled '
  return problem.Problem(
    '', source, _Kind.SAMPLE_RATES, f'{reason}to {wanted} Hz.'
  )


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


def transcript_problem(
  said: transcript.Transcript, name: str, source: str
) -> problem.Problem | None:
  """Why a transcript cannot be used, or a warning about it."""
  fault = said.fault()
  num_foreign = sum(character.isalpha() for character in said.lost)
  if not said.tags and num_foreign > len(said.text.replace(' ', '')):
    shown = ''.join(dict.fromkeys(said.lost))
    fault = f'most of the transcript is outside the alphabet: {shown!r}.'
    kind = _Kind.OTHER_ALPHABET
  elif fault:
    kind = _Kind.UNKNOWN_TAG if said.tags else _Kind.UNSPELLED
  elif not said.text:
    kind, fault = _Kind.EMPTY_TRANSCRIPT, 'the transcript is empty.'
  elif said.dropped:
    kind = _Kind.DROPPED_CHARACTERS
    shown = ''.join(dict.fromkeys(said.dropped))
    fault = f'dropped from the transcript: {shown!r}.'
  else:
    return None
  return problem.Problem(name, source, kind, fault)


def _length_problem(
  item: utterance.Utterance,
  labels: Int[np.ndarray, ' labels'],
  num_output_frames: int,
) -> problem.Problem | None:
  needed = alphabets.min_ctc_frames(labels)
  if needed <= num_output_frames:
    return None
  reason = (
    f'{num_output_frames} output frames for {len(labels)} labels; CTC needs '
    f'{needed}.'
  )
  return problem.Problem(
    item.id, item.source.describe(), _Kind.TOO_SHORT, reason
  )
