"""LibriSpeech's tree: SPEAKER/CHAPTER/*.flac and *.trans.txt.

Audio may be in any other format that is read.
"""

import collections
import itertools
import pathlib
from collections.abc import Iterator, Sequence

from fedjax_asr.corpora import problem, utterance
from fedjax_asr.speech import formats

_Kind = problem.Kind


def utterances(
  path: str | pathlib.Path, splits: Sequence[str] = ()
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """All utterances below a split's folder, or a folder of splits, by path.

  A transcript without audio, audio without transcript or in a format that is
  not read and a repeated id are problems.

  Args:
    path: the folder.
    splits: folders in it that are taken; (): all.

  Raises:
    CorpusError: if there is no *.trans.txt below `path`, or below a split.
  """
  root = pathlib.Path(path)
  chapters: dict[pathlib.Path, list[pathlib.Path]] = {}
  for folder in [root / split for split in splits] or [root]:
    chapters |= _chapters(folder)
  found: dict[str, utterance.Utterance] = {}
  problems = []
  for folder in sorted(chapters):
    for result in _chapter(folder, chapters[folder]):
      if isinstance(result, problem.Problem):
        problems.append(result)
      elif result.id in found:
        first = found[result.id].source.describe()
        reason = f'has the id of {first}.'
        problems.append(_problem(result, _Kind.DUPLICATE_ID, reason))
      else:
        found[result.id] = result
  return list(found.values()), problems


def _chapters(root: pathlib.Path) -> dict[pathlib.Path, list[pathlib.Path]]:
  """The files of each folder below, in order."""
  chapters = collections.defaultdict(list)
  for file in sorted(root.rglob('*')):
    chapters[file.parent].append(file)
  if not any(map(_is_transcript, itertools.chain(*chapters.values()))):
    raise utterance.CorpusError(
      f'{root}: no *.trans.txt below it; want a LibriSpeech tree.'
    )
  return chapters


def _is_transcript(file: pathlib.Path) -> bool:
  return file.name.endswith('.trans.txt')


def _chapter(
  folder: pathlib.Path, files: Sequence[pathlib.Path]
) -> Iterator[utterance.Utterance | problem.Problem]:
  """`files` of the folder, in order."""
  others = {file.stem: file for file in formats.other(files)}
  audio = {}
  for file in formats.read(files):
    audio.setdefault(file.stem, file)
  transcribed = set()
  for file in filter(_is_transcript, files):
    for number, line in enumerate(_lines(file), 1):
      name, _, text = line.strip().partition(' ')
      if not name:
        continue
      transcribed.add(name)
      if name in audio:
        yield _utterance(name, text, audio[name])
      elif name not in others:
        reason = f'no file {folder / name}.flac.'
        source = f'{file}:{number}'
        yield problem.Problem(name, source, _Kind.MISSING_FILE, reason)
  for name in sorted(audio.keys() - transcribed):
    item = _utterance(name, '', audio[name])
    yield _problem(item, _Kind.NO_TRANSCRIPT, 'not in a *.trans.txt beside it.')
  for name, file in others.items():
    yield problem.other_format(name, file)


def _lines(file: pathlib.Path) -> list[str]:
  try:
    # What is not UTF-8 becomes U+FFFD, which the audit reports.
    return file.read_text(encoding='utf-8', errors='replace').split('\n')
  except OSError as error:
    raise utterance.CorpusError(
      f'{file}: cannot read the transcripts: {error.strerror}.'
    ) from None


def _utterance(name: str, text: str, file: pathlib.Path) -> utterance.Utterance:
  return utterance.Utterance(
    id=name,
    speaker=file.parent.parent.name,
    text=text,
    duration=0.0,
    source=utterance.AudioFile(str(file)),
  )


def _problem(
  item: utterance.Utterance, kind: str, reason: str
) -> problem.Problem:
  return problem.Problem(item.id, item.source.describe(), kind, reason)
