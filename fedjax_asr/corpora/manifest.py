"""Manifests in NeMo's form: one JSON object a line.

`audio_filepath`, or `features_filepath` (a .npy of [frames, features]), which
wins where a line has both; `text`; and optionally `duration` (seconds),
`speaker` and `id`; null there is as good as absent. Relative paths start at
the manifest's folder. Other fields are ignored, but for an `offset` that is
not 0: segments of a longer file are not supported.

The `duration` of a feature file is what its frame rate is checked by.

Without `id`, an utterance is named by its file's stem, with a number where
that is taken. Without `speaker`, it counts as a speaker of its own, so that
nothing claims two utterances to be one person's: partition such a corpus by
something else than speaker.
"""

import json
import math
import pathlib
from collections.abc import Collection
from typing import Any

from fedjax_asr.corpora import problem, utterance

_Kind = problem.Kind
_SOURCES = {
  'features_filepath': utterance.FeatureFile,
  'audio_filepath': utterance.AudioFile,
}


class _LineError(Exception):
  """What is wrong with a line: kind, id and reason."""


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """The manifest's usable lines in order, and what is wrong with the others.

  Raises:
    CorpusError: if the manifest cannot be read or has no lines.
  """
  path = pathlib.Path(path)
  found: dict[str, utterance.Utterance] = {}
  problems, num_nameless = [], 0
  for number, line in _lines(path):
    try:
      fields = _parsed(line)
      item = _utterance(fields, path.parent, found)
    except _LineError as error:
      problems.append(_problem(f'{path}:{number}', *error.args))
      continue
    found[item.id] = item
    num_nameless += fields.get('speaker') is None
  if num_nameless:
    reason = f'{num_nameless} lines name no speaker; each counts as its own.'
    problems.append(_problem(str(path), _Kind.NO_SPEAKER, '', reason))
  return list(found.values()), problems


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
  file_field = next((name for name in _SOURCES if name in fields), None)
  if file_field is None:
    reason = 'lacks audio_filepath or features_filepath.'
    raise _LineError(_Kind.BAD_LINE, str(fields.get('id', '')), reason)
  file = folder / _string(fields, file_field)
  name = _name(fields, 'id')
  if name in taken:
    raise _LineError(_Kind.DUPLICATE_ID, name, f'repeats the id {name!r}.')
  name = name or _free_name(file.stem, taken)
  text = _string(fields, 'text', may_be_empty=True)
  duration = _duration(fields)
  if fields.get('offset'):
    reason = f'offset={fields["offset"]!r}; want whole files.'
    raise _LineError(_Kind.BAD_LINE, name, reason)
  if not _is_file(file):
    raise _LineError(_Kind.MISSING_FILE, name, f'no file {file}.')
  speaker = _name(fields, 'speaker') or name
  source = _SOURCES[file_field](str(file))
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
  value = fields.get('duration')
  if value is None:
    return 0.0
  if type(value) not in (int, float) or not 0 <= value < math.inf:
    raise _wrong(fields, 'duration', 'seconds')
  return float(value)


def _wrong(fields: dict[str, Any], name: str, wanted: str) -> _LineError:
  reason = f'{name}={fields[name]!r}; want {wanted}.'
  return _LineError(_Kind.BAD_LINE, str(fields.get('id', '')), reason)


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
