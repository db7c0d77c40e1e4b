"""What is known of audited speakers: the truth about their sex and rate."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fedjax_asr.corpora import synthetic
from fedjax_asr.jobs import speaker_updates


class Known(NamedTuple):
  """Of each speaker; `missing` says in a line why there are no values.

  unit: of the values; of a class, what 1 is where -1 is the other.
  """

  values: np.ndarray
  unit: str
  missing: str = ''


# Of each class, so that no fold lacks one for long.
_FEWEST = 4


def sex(found: Sequence[speaker_updates.Speaker]) -> Known:
  """Only the synthetic corpus says whose voice is which."""
  voices = [_voice(speaker) for speaker in found]
  if any(voice is None for voice in voices):
    return Known(
      np.zeros(0), '', 'the corpus does not say the sex of its speakers'
    )
  values = np.array(
    [1.0 if voice and voice.gender == 'female' else -1.0 for voice in voices]
  )
  count = int((values > 0).sum())
  if min(count, len(values) - count) < _FEWEST:
    return Known(
      values,
      'female',
      f'{count} of {len(values)} speakers are female; want {_FEWEST} of both',
    )
  return Known(values, 'female')


def rate(found: Sequence[speaker_updates.Speaker], hop_ms: float) -> Known:
  """Words per minute that the voice was drawn with, of the synthetic corpus;
  of others, symbols per second of all that is said."""
  voices = [_voice(speaker) for speaker in found]
  if all(voice is not None for voice in voices):
    drawn = [float(voice.rate) for voice in voices if voice is not None]
    values, unit = np.array(drawn), 'words per minute, as drawn'
  else:
    values = np.array([_symbols_per_second(each, hop_ms) for each in found])
    unit = 'symbols per second, as measured'
  if np.ptp(values) == 0:
    return Known(values, unit, 'all speakers have one rate')
  return Known(values, unit)


def _voice(speaker: speaker_updates.Speaker):
  source = speaker.examples.sources[speaker.halves[0][0]]
  if isinstance(source, synthetic.SyntheticSpeech):
    return source.voice()
  return None


def _symbols_per_second(speaker: speaker_updates.Speaker, hop_ms: float):
  spoken = np.concatenate(speaker.halves)
  symbols = sum(len(speaker.examples.labels[index]) for index in spoken)
  frames = speaker.examples.num_frames[spoken].sum()
  return float(symbols / (frames * hop_ms / 1000))
