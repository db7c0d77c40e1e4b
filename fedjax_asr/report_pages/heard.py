"""How well a run did at its last evaluation, from its transcripts."""

from typing import NamedTuple

from fedjax_asr.decoding import bootstrap, scores
from fedjax_asr.figures import drawn_run

_NUM_RESAMPLES = 1000
CONFIDENCE = 0.95


class Rate(NamedTuple):
  """by_speaker: an interval from whole speakers that are drawn again; None of
  fewer than two, as is `by_utterance` of fewer utterances."""

  rate: float
  by_speaker: bootstrap.Interval | None
  by_utterance: bootstrap.Interval | None


class Heard(NamedTuple):
  wer: Rate
  cer: Rate
  num_utterances: int
  num_speakers: int


def measured(run: drawn_run.DrawnRun) -> Heard:
  """Rates of all transcripts that have a reference.

  Raises:
    Missing: there is no such transcript.
  """
  found = [each for each in run.transcripts if each.reference.strip()]
  if not found:
    name = run.files.transcripts.name
    raise drawn_run.Missing(
      f'{name} has no utterance of which words are known.'
    )
  counts = scores.errors(found, has_words(run))
  speakers = [each.speaker for each in found]
  return Heard(
    wer=_rate(counts.words, counts.num_words, speakers),
    cer=_rate(counts.characters, counts.num_characters, speakers),
    num_utterances=len(found),
    num_speakers=len(set(speakers)),
  )


def _rate(errors, lengths, speakers) -> Rate:
  options = _NUM_RESAMPLES, CONFIDENCE, 0
  return Rate(
    rate=float(errors.sum() / lengths.sum()),
    by_speaker=bootstrap.by_cluster(errors, lengths, speakers, *options),
    by_utterance=bootstrap.by_unit(errors, lengths, *options),
  )


def has_words(run: drawn_run.DrawnRun) -> bool:
  """Whether its alphabet tells words apart; so most do."""
  try:
    return run.alphabet.has_words
  except drawn_run.Missing:
    return True
