"""Manifests in NeMo's form: one JSON object a line.

`audio_filepath`, or `features_filepath` (a .npy of [frames, features]), which
wins where a line has both; `text`; and optionally `offset` and `duration`
(seconds), `speaker`, `client` (who holds the recording, where that is another)
and `id`; null there is as good as absent. Relative paths start at the
manifest's folder. Other fields are ignored.

A line with an `offset`, or a `duration` shorter than its file, is a segment of
a longer recording (see `speech.segments`); an offset without duration goes to
the end. Segments of one file come together, in order, in the place of the
first, so that it is decoded once. A `duration` of 0 or less, as some write
where they do not know it, is as good as none and counted in a warning. That of
a feature file is what its frame rate is checked by; it has no segments.

Without `id`, an utterance is named by its file's stem and, where it starts
later than its file, by when it starts and ends, with a number where that is
taken. Without `speaker`, it counts as a speaker of its own, so that nothing
claims two utterances to be one person's: partition such a corpus by something
else than speaker.
"""

import pathlib
from collections.abc import Collection
from typing import Any

from fedjax_asr.corpora import collection, lines, problem, utterance

_Kind = problem.Kind
# A longer one is no recording.
_MAX_SECONDS = 1e9
_FILE_FIELDS = ('features_filepath', 'audio_filepath')


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """The manifest's usable lines, and what is wrong with the others.

  In their order, but for segments that are brought together.

  Raises:
    CorpusError: if the manifest cannot be read or has no lines.
  """
  path = pathlib.Path(path)
  numbered = lines.numbered(path, 'the manifest')
  if not numbered:
    raise utterance.CorpusError(f'{path}: an empty manifest.')
  collected = collection.Collection(path)
  num_endless = 0
  for number, line in numbered:
    place = f'{path}:{number}'
    try:
      fields = lines.json_object(line)
      item = _utterance(fields, path.parent, collected.found)
    except lines.LineError as error:
      collected.refuse_line(error, place)
      continue
    collected.add(item, place)
    num_endless += fields.get('duration') is not None and not item.duration
  found, problems = collected.result()
  if num_endless:
    reason = (
      f'{num_endless} of {len(found)} lines have a duration of 0 or less; it '
      'counts as not known.'
    )
    problems.append(problem.Problem('', str(path), _Kind.NO_DURATION, reason))
  return found, problems


def _utterance(
  fields: dict[str, Any],
  folder: pathlib.Path,
  taken: Collection[str],
) -> utterance.Utterance:
  file_field = next((name for name in _FILE_FIELDS if name in fields), None)
  if file_field is None:
    reason = 'lacks audio_filepath or features_filepath.'
    raise lines.LineError(_Kind.BAD_LINE, str(fields.get('id', '')), reason)
  file = folder / lines.string(fields, file_field)
  name = lines.name(fields, 'id')
  if name in taken:
    raise lines.LineError(_Kind.DUPLICATE_ID, name, f'repeats the id {name!r}.')
  text = lines.string(fields, 'text', may_be_empty=True)
  offset, duration = _offset(fields), _duration(fields)
  name = name or _free_name(_segment_name(file.stem, offset, duration), taken)
  source = utterance.AudioFile(str(file), offset, duration)
  if file_field == 'features_filepath':
    source = utterance.FeatureFile(str(file))
    if offset:
      raise lines.wrong(fields, 'offset', 'none beside a features_filepath')
  if not lines.is_file(file):
    raise lines.LineError(_Kind.MISSING_FILE, name, f'no file {file}.')
  return utterance.Utterance(
    id=name,
    speaker=lines.name(fields, 'speaker') or '',
    text=text,
    duration=duration,
    source=source,
    client=lines.name(fields, 'client') or '',
  )


def _duration(fields: dict[str, Any]) -> float:
  """0.0 for what counts as not known."""
  return max(_seconds(fields, 'duration'), 0.0)


def _offset(fields: dict[str, Any]) -> float:
  value = _seconds(fields, 'offset')
  if value < 0:
    raise lines.wrong(fields, 'offset', 'seconds, 0 or more')
  return value


def _seconds(fields: dict[str, Any], name: str) -> float:
  value = fields.get(name)
  if value is None:
    return 0.0
  if type(value) not in (int, float) or not abs(value) < _MAX_SECONDS:
    raise lines.wrong(fields, name, 'seconds')
  return float(value)


def _segment_name(stem: str, offset: float, duration: float) -> str:
  """The same wherever in its manifest the line is."""
  if not offset:
    return stem
  end = f'{offset + duration:.3f}' if duration else 'end'
  return f'{stem}-{offset:.3f}-{end}'


def _free_name(stem: str, taken: Collection[str]) -> str:
  name, number = stem, 1
  while name in taken:
    number += 1
    name = f'{stem}-{number}'
  return name
