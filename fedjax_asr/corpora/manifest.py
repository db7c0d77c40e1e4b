"""Manifests in NeMo's form: one JSON object a line.

`audio_filepath`, or `features_filepath` (a .npy of [frames, features]), which
wins where a line has both; `text`; and optionally `offset` and `duration`
(seconds), `speaker` and `id`; null there is as good as absent. Relative paths
start at the manifest's folder. Other fields are ignored.

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

import json
import operator
import pathlib
from collections.abc import Collection, Iterable
from typing import Any

from fedjax_asr.corpora import problem, utterance

_Kind = problem.Kind
# A longer one is no recording.
_MAX_SECONDS = 1e9
_FILE_FIELDS = ('features_filepath', 'audio_filepath')


class _LineError(Exception):
  """What is wrong with a line: kind, id and reason."""


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """The manifest's usable lines, and what is wrong with the others.

  In their order, but for segments that are brought together.

  Raises:
    CorpusError: if the manifest cannot be read or has no lines.
  """
  path = pathlib.Path(path)
  found: dict[str, utterance.Utterance] = {}
  problems, num_nameless, num_endless = [], 0, 0
  for number, line in _lines(path):
    try:
      fields = _parsed(line)
      item = _utterance(fields, path.parent, found)
    except _LineError as error:
      problems.append(_problem(f'{path}:{number}', *error.args))
      continue
    found[item.id] = item
    num_nameless += fields.get('speaker') is None
    num_endless += fields.get('duration') is not None and not item.duration
  if num_nameless:
    reason = (
      f'{num_nameless} of {len(found)} lines name no speaker; each counts as '
      'a speaker, and a client, of its own.'
    )
    problems.append(_problem(str(path), _Kind.NO_SPEAKER, '', reason))
  if num_endless:
    reason = (
      f'{num_endless} of {len(found)} lines have a duration of 0 or less; it '
      'counts as not known.'
    )
    problems.append(_problem(str(path), _Kind.NO_DURATION, '', reason))
  return _together(found.values()), problems


def _together(
  items: Iterable[utterance.Utterance],
) -> list[utterance.Utterance]:
  """Segments of one file by their offset, in the place of the first."""
  by_file: dict[str, list[tuple[float, utterance.Utterance]]] = {}
  for item in items:
    file, offset = _place(item)
    by_file.setdefault(file, []).append((offset, item))
  return [
    item
    for same in by_file.values()
    for _, item in sorted(same, key=operator.itemgetter(0))
  ]


def _place(item: utterance.Utterance) -> tuple[str, float]:
  """The file, and where in it."""
  source = item.source
  if isinstance(source, utterance.AudioFile):
    return source.path, source.offset
  return source.describe(), 0.0


def _problem(
  source: str, kind: str, utterance_id: str, reason: str
) -> problem.Problem:
  return problem.Problem(utterance_id, source, kind, reason)


def _lines(path: pathlib.Path) -> list[tuple[int, bytes]]:
  try:
    content = path.read_bytes()
  except OSError as error:
    raise utterance.CorpusError(
      f'{path}: cannot read the manifest: {error.strerror}.'
    ) from None
  lines = content.removeprefix(b'\xef\xbb\xbf').split(b'\n')
  numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip()]
  if not numbered:
    raise utterance.CorpusError(f'{path}: an empty manifest.')
  return numbered


def _parsed(line: bytes) -> dict[str, Any]:
  try:
    fields = json.loads(line)
  except UnicodeDecodeError:
    raise _LineError(_Kind.BAD_LINE, '', 'not UTF-8.') from None
  except (ValueError, RecursionError) as error:
    raise _LineError(_Kind.BAD_LINE, '', f'not JSON: {error}.') from None
  if not isinstance(fields, dict):
    raise _LineError(_Kind.BAD_LINE, '', 'not a JSON object.')
  return fields


def _utterance(
  fields: dict[str, Any],
  folder: pathlib.Path,
  taken: Collection[str],
) -> utterance.Utterance:
  file_field = next((name for name in _FILE_FIELDS if name in fields), None)
  if file_field is None:
    reason = 'lacks audio_filepath or features_filepath.'
    raise _LineError(_Kind.BAD_LINE, str(fields.get('id', '')), reason)
  file = folder / _string(fields, file_field)
  name = _name(fields, 'id')
  if name in taken:
    raise _LineError(_Kind.DUPLICATE_ID, name, f'repeats the id {name!r}.')
  text = _string(fields, 'text', may_be_empty=True)
  offset, duration = _offset(fields), _duration(fields)
  name = name or _free_name(_segment_name(file.stem, offset, duration), taken)
  source = utterance.AudioFile(str(file), offset, duration)
  if file_field == 'features_filepath':
    source = utterance.FeatureFile(str(file))
    if offset:
      raise _wrong(fields, 'offset', 'none beside a features_filepath')
  if not _is_file(file):
    raise _LineError(_Kind.MISSING_FILE, name, f'no file {file}.')
  speaker = _name(fields, 'speaker') or name
  return utterance.Utterance(name, speaker, text, duration, source)


def _string(
  fields: dict[str, Any], name: str, *, may_be_empty: bool = False
) -> str:
  if name not in fields:
    raise _LineError(
      _Kind.BAD_LINE, str(fields.get('id', '')), f'lacks {name}.'
    )
  value = fields[name]
  if not isinstance(value, str) or not (value or may_be_empty):
    raise _wrong(fields, name, 'a string')
  return value


def _name(fields: dict[str, Any], name: str) -> str | None:
  """A string, or a number as some manifests have it; None where absent."""
  value = fields.get(name)
  if value is None:
    return None
  if type(value) not in (str, int) or value == '':
    raise _wrong(fields, name, 'a string')
  return str(value)


def _duration(fields: dict[str, Any]) -> float:
  """0.0 for what counts as not known."""
  return max(_seconds(fields, 'duration'), 0.0)


def _offset(fields: dict[str, Any]) -> float:
  value = _seconds(fields, 'offset')
  if value < 0:
    raise _wrong(fields, 'offset', 'seconds, 0 or more')
  return value


def _seconds(fields: dict[str, Any], name: str) -> float:
  value = fields.get(name)
  if value is None:
    return 0.0
  if type(value) not in (int, float) or not abs(value) < _MAX_SECONDS:
    raise _wrong(fields, name, 'seconds')
  return float(value)


def _wrong(fields: dict[str, Any], name: str, wanted: str) -> _LineError:
  reason = f'{name}={fields[name]!r}; want {wanted}.'
  return _LineError(_Kind.BAD_LINE, str(fields.get('id', '')), reason)


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


def _is_file(path: pathlib.Path) -> bool:
  try:
    return path.is_file()
  except (OSError, ValueError):  # Too long a name; a null character in it.
    return False
