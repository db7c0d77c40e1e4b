"""Word and character error rates, and the mistakes behind them, by jiwer.

Words are what spaces part. Of an alphabet that tells no words apart,
`has_words` is False here: each character then is a word, and WER is CER.
"""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jiwer
import numpy as np
from jaxtyping import Int


class Transcript(NamedTuple):
  """What was said and what was recognised."""

  utterance: str
  speaker: str
  reference: str
  hypothesis: str


class Score(NamedTuple):
  """Errors over all words or characters together; rates may exceed 1."""

  wer: float
  cer: float
  num_words: int
  num_utterances: int


class Errors(NamedTuple):
  """Edits that an utterance needs, and the length that they are rated by."""

  words: Int[np.ndarray, ' utterances']
  num_words: Int[np.ndarray, ' utterances']
  characters: Int[np.ndarray, ' utterances']
  num_characters: Int[np.ndarray, ' utterances']


class Mistake(NamedTuple):
  """One unit in place of another; '' where it was inserted or deleted."""

  said: str
  heard: str
  times: int


class Mistakes(NamedTuple):
  """The most frequent first, alphabetically where counts are equal."""

  substitutions: list[Mistake]
  deletions: list[Mistake]
  insertions: list[Mistake]


class Confusions(NamedTuple):
  words: Mistakes
  characters: Mistakes


class Edits(NamedTuple):
  """How many of each kind; their sum over the length of a set is its rate."""

  substitutions: int
  deletions: int
  insertions: int


class WorstSpeakers(NamedTuple):
  """A tenth of the speakers, rounded up, of highest WER; its mean over them."""

  wer: float
  speakers: list[str]


def score(transcripts: Sequence[Transcript], has_words: bool = True) -> Score:
  """WER and CER, which weigh every word or character of the set alike."""
  return _score(errors(transcripts, has_words), slice(None))


def score_speakers(
  transcripts: Sequence[Transcript], has_words: bool = True
) -> dict[str, Score]:
  """Scores of each speaker, in order of their names."""
  counts = errors(transcripts, has_words)
  speakers = np.array([item.speaker for item in transcripts], object)
  return {
    name: _score(counts, np.flatnonzero(speakers == name))
    for name in sorted(set(speakers))
  }


def errors(transcripts: Sequence[Transcript], has_words: bool = True) -> Errors:
  """Of each utterance by itself; their sums over a set make its rates."""
  references = [item.reference for item in transcripts]
  words, characters = _aligned(transcripts, has_words)
  return Errors(
    words=np.array([_num_edits(row) for row in words.alignments], int),
    num_words=np.array([len(row) for row in words.references], int),
    characters=np.array([_num_edits(row) for row in characters.alignments]),
    num_characters=np.array([len(text) for text in references], int),
  )


def worst_decile(by_speaker: Mapping[str, Score]) -> WorstSpeakers:
  """Where the model serves people worst; of one speaker or more."""
  ranked = sorted(by_speaker, key=lambda name: (-by_speaker[name].wer, name))
  worst = ranked[: math.ceil(len(ranked) / 10)]
  mean = float(np.mean([by_speaker[name].wer for name in worst]))
  return WorstSpeakers(wer=mean, speakers=worst)


def confusions(
  transcripts: Sequence[Transcript], count: int, has_words: bool = True
) -> Confusions:
  """At most `count` of each kind, of words and of characters."""
  words, characters = _aligned(transcripts, has_words)
  return Confusions(_mistakes(words, count), _mistakes(characters, count))


def edits(
  transcripts: Sequence[Transcript], has_words: bool = True
) -> tuple[Edits, Edits]:
  """Of words, and of characters."""
  words, characters = (
    Edits(found.substitutions, found.deletions, found.insertions)
    for found in _aligned(transcripts, has_words)
  )
  return words, characters


def pairs(said: Transcript, has_words: bool = True) -> list[tuple[str, str]]:
  """(said, heard), word beside word; '' where one was inserted or deleted."""
  words, _ = _aligned([said], has_words)
  found = []
  for chunk in words.alignments[0]:
    found += _pairs(chunk, words.references[0], words.hypotheses[0])
  return found


def _aligned(
  transcripts: Sequence[Transcript], has_words: bool
) -> tuple[jiwer.WordOutput, jiwer.CharacterOutput]:
  references = [item.reference for item in transcripts]
  hypotheses = [item.hypothesis for item in transcripts]
  characters = jiwer.process_characters(references, hypotheses)
  if not has_words:
    references, hypotheses = (
      [' '.join(text) for text in texts] for texts in (references, hypotheses)
    )
  return jiwer.process_words(references, hypotheses), characters


def _score(counts: Errors, chosen: slice | np.ndarray) -> Score:
  words, num_words, characters, num_characters = (
    values[chosen] for values in counts
  )
  return Score(
    wer=float(words.sum() / num_words.sum()),
    cer=float(characters.sum() / num_characters.sum()),
    num_words=int(num_words.sum()),
    num_utterances=len(words),
  )


def _num_edits(chunks: Sequence[jiwer.AlignmentChunk]) -> int:
  return sum(
    max(
      chunk.ref_end_idx - chunk.ref_start_idx,
      chunk.hyp_end_idx - chunk.hyp_start_idx,
    )
    for chunk in chunks
    if chunk.type != 'equal'
  )


def _mistakes(
  aligned: jiwer.WordOutput | jiwer.CharacterOutput, count: int
) -> Mistakes:
  found = {kind: collections.Counter() for kind in _KINDS}
  for said, heard, chunks in zip(
    aligned.references, aligned.hypotheses, aligned.alignments, strict=True
  ):
    for chunk in chunks:
      if chunk.type in found:
        found[chunk.type].update(_pairs(chunk, said, heard))
  return Mistakes(*(_most_frequent(found[kind], count) for kind in _KINDS))


_KINDS = ('substitute', 'delete', 'insert')


def _pairs(
  chunk: jiwer.AlignmentChunk, said: Sequence[str], heard: Sequence[str]
) -> list[tuple[str, str]]:
  """(said, heard) of each unit in a chunk that is no match."""
  said = said[chunk.ref_start_idx : chunk.ref_end_idx]
  heard = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
  length = max(len(said), len(heard))
  return list(zip(said or [''] * length, heard or [''] * length, strict=True))


def _most_frequent(counts: collections.Counter, count: int) -> list[Mistake]:
  ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
  return [
    Mistake(said=said, heard=heard, times=times)
    for (said, heard), times in ranked[:count]
  ]
