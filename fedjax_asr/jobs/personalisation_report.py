"""What `personalise` found, as JSON takes it and in a few lines."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedjax_asr.decoding import scores
from fedjax_asr.federated import fine_tuning

Transcripts = Sequence[scores.Transcript]
_Rated = Callable[[Transcripts], scores.Score]


class Heard(NamedTuple):
  """One speaker's evaluated utterances, by three models.

  personal: by the one that the run's client keeps; None where it keeps none.
  has_diverged: training left what is not finite.
  """

  split: fine_tuning.Split
  before: Transcripts
  after: Transcripts
  personal: Transcripts | None
  has_diverged: bool


def measured(
  heard: Mapping[str, Heard], num_left_out: int, has_words: bool = True
) -> dict[str, Any]:
  """Rates before and after, of all words and of each speaker.

  `num_left_out`: speakers that could not be split; `has_words`: as of `scores`.
  `gain`: of a speaker, the WER before less the WER after; its mean weighs
  speakers alike.
  """
  rated = functools.partial(scores.score, has_words=has_words)
  speakers = {name: _speaker(each, rated) for name, each in heard.items()}
  known = {
    name: each for name, each in heard.items() if each.personal is not None
  }
  before = [speaker['before'] for speaker in speakers.values()]
  after = [speaker['after'] for speaker in speakers.values()]
  return {
    'num_speakers': len(heard),
    'num_left_out': num_left_out,
    'before': _total((each.before for each in heard.values()), rated),
    'after': _total((each.after for each in heard.values()), rated)
    | _gain(before, after),
    'num_diverged': sum(each.has_diverged for each in heard.values()),
    'personal': _personal(known, speakers, rated) if known else None,
    'speakers': speakers,
  }


def _speaker(heard: Heard, rated: _Rated) -> dict[str, Any]:
  models = {
    'before': heard.before,
    'after': heard.after,
    'personal': heard.personal,
  }
  return {
    'num_trained': len(heard.split.trained),
    'num_evaluated': len(heard.split.evaluated),
    **{
      name: None if found is None else rated(found).wer
      for name, found in models.items()
    },
    'has_diverged': heard.has_diverged,
  }


def _personal(known, speakers, rated: _Rated) -> dict[str, Any]:
  """Of the clients that have a model, against the server's on the same."""
  before = [speakers[name]['before'] for name in known]
  personal = [speakers[name]['personal'] for name in known]
  return {
    'num_speakers': len(known),
    'before': _total((each.before for each in known.values()), rated),
    **_total((each.personal for each in known.values()), rated),
    **_gain(before, personal),
  }


def _total(found, rated: _Rated) -> dict[str, float]:
  score = rated([item for each in found for item in each])
  return {'wer': score.wer, 'cer': score.cer}


def _gain(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
  gains = np.subtract(before, after)
  return {
    'mean_gain': float(gains.mean()),
    'num_better': int((gains > 0).sum()),
    'num_worse': int((gains < 0).sum()),
  }


def lines(report: dict[str, Any]) -> list[str]:
  """The report but for single speakers."""
  before, after = report['before'], report['after']
  found = [
    f'WER {before["wer"]:.1%} before, {after["wer"]:.1%} after training on '
    f'each of {report["num_speakers"]} speakers; {_told(after)}'
  ]
  if report['num_left_out']:
    found.append(
      f'left out: {report["num_left_out"]} speakers of a single utterance'
    )
  if report['num_diverged']:
    found.append(
      f'warning: training diverged for {report["num_diverged"]} of them; want '
      'a lower config.personalise.learning_rate'
    )
  personal = report['personal']
  if personal:
    found.append(
      f"WER {personal['before']['wer']:.1%} with the server's model, "
      f'{personal["wer"]:.1%} with what each of {personal["num_speakers"]} '
      f'clients keeps; {_told(personal)}'
    )
  return found


def _told(gain: dict[str, Any]) -> str:
  return (
    f'mean gain {100 * gain["mean_gain"]:.1f} points, {gain["num_better"]} '
    f'better, {gain["num_worse"]} worse'
  )
