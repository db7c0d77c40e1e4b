"""The Free Spoken Digit Dataset: {digit}_{speaker}_{index}.wav."""

import pathlib
import re

from fedjax_asr.corpora import problem, utterance
from fedjax_asr.speech import formats

_WORDS = (
  'zero',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
)
_NAME = re.compile(r'([0-9])_(.+)_([0-9]+)\.wav')


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """The WAV files of a folder, in order of name.

  A recording of another name or format is a problem; other files are ignored.

  Raises:
    CorpusError: if the folder holds no WAV file.
  """
  folder = pathlib.Path(path)
  files = sorted(folder.glob('*'))
  recordings = formats.read(files)
  if not any(file.suffix == '.wav' for file in recordings):
    raise utterance.CorpusError(
      f'{folder}: no .wav in it; want the recordings folder of FSDD.'
    )
  found, problems = [], []
  for file in recordings:
    match = _NAME.fullmatch(file.name)
    if match:
      found.append(_utterance(file, digit=int(match[1]), speaker=match[2]))
    else:
      reason = 'want a name such as 7_jackson_32.wav.'
      problems.append(
        problem.Problem(file.stem, str(file), problem.Kind.BAD_NAME, reason)
      )
  problems += [
    problem.other_format(file.stem, file) for file in formats.other(files)
  ]
  return found, problems


def _utterance(
  file: pathlib.Path, digit: int, speaker: str
) -> utterance.Utterance:
  return utterance.Utterance(
    id=file.stem,
    speaker=speaker,
    text=_WORDS[digit],
    duration=0.0,
    source=utterance.AudioFile(str(file)),
  )
