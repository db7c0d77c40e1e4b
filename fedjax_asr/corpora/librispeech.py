"""LibriSpeech's tree: SPEAKER/CHAPTER/*.flac and *.trans.txt."""

import pathlib
from collections.abc import Iterator

from fedjax_asr.corpora import problem, utterance

_Kind = problem.Kind


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """All utterances below a split's folder, or a folder of splits, by path.

  A transcript without audio, audio without transcript and a repeated id are
  problems.

  Raises:
    CorpusError: if there is no *.trans.txt below `path`.
  """
  root = pathlib.Path(path)
  chapters = sorted({file.parent for file in root.rglob('*.trans.txt')})
  if not chapters:
    raise utterance.CorpusError(
      f'{root}: no *.trans.txt below it; want a LibriSpeech tree.'
    )
  found: dict[str, utterance.Utterance] = {}
  problems = []
  for chapter in chapters:
    for result in _chapter(chapter):
      if isinstance(result, problem.Problem):
        problems.append(result)
      elif result.id in found:
        first = found[result.id].source.describe()
        reason = f'has the id of {first}.'
        problems.append(_problem(result, _Kind.DUPLICATE_ID, reason))
      else:
        found[result.id] = result
  return list(found.values()), problems


def _chapter(
  folder: pathlib.Path,
) -> Iterator[utterance.Utterance | problem.Problem]:
  audio = {file.stem: file for file in sorted(folder.glob('*.flac'))}
  transcribed = set()
  for file in sorted(folder.glob('*.trans.txt')):
    for number, line in enumerate(_lines(file), 1):
      name, _, text = line.strip().partition(' ')
      if not name:
        continue
      transcribed.add(name)
      item = _utterance(name, text, folder)
      if name in audio:
        yield item
      else:
        source, reason = (
          f'{file}:{number}',
          f'no file {item.source.describe()}.',
        )
        yield problem.Problem(name, source, _Kind.MISSING_FILE, reason)
  for name in sorted(audio.keys() - transcribed):
    item = _utterance(name, '', folder)
    yield _problem(item, _Kind.NO_TRANSCRIPT, 'not in a *.trans.txt beside it.')


def _lines(file: pathlib.Path) -> list[str]:
  try:
    # What is not UTF-8 becomes U+FFFD, which the audit reports.
    return file.read_text(encoding='utf-8', errors='replace').split('\n')
  except OSError as error:
    raise utterance.CorpusError(
      f'{file}: cannot read the transcripts: {error.strerror}.'
    ) from None


def _utterance(
  name: str, text: str, folder: pathlib.Path
) -> utterance.Utterance:
  return utterance.Utterance(
    id=name,
    speaker=folder.parent.name,
    text=text,
    duration=0.0,
    source=utterance.AudioFile(str(folder / f'{name}.flac')),
  )


def _problem(
  item: utterance.Utterance, kind: str, reason: str
) -> problem.Problem:
  return problem.Problem(item.id, item.source.describe(), kind, reason)
