"""Audio folders of Hugging Face `datasets`: metadata beside recordings.

metadata.csv or metadata.jsonl has a row for each recording: `file_name`, from
the metadata's folder on; its transcript as `transcription`, `text` or
`sentence`; and optionally its speaker as `speaker_id`, `speaker` or
`client_id`. The first of these that a row has counts; others are ignored.
"""

import csv
import io
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from fedjax_asr.corpora import collection, lines, problem, utterance
from fedjax_asr.speech import formats

_Kind = problem.Kind
_TABLES = ('metadata.csv', 'metadata.jsonl')
_TEXTS = ('transcription', 'text', 'sentence')
_SPEAKERS = ('speaker_id', 'speaker', 'client_id')


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """All rows of a folder's metadata, or of those of the folders below it.

  An utterance's id is its path below `path`, without ending. Rows without
  recording, recordings without row and repeated ids are problems.

  Raises:
    CorpusError: there is no metadata, or a CSV that lacks a column.
  """
  root = pathlib.Path(path)
  files = sorted(root.rglob('*'))
  tables = [file for file in files if file.name in _TABLES]
  if not tables:
    raise utterance.CorpusError(
      f'{root}: no {lines.listed(_TABLES)} in it or below; want an audio '
      'folder of Hugging Face datasets.'
    )
  collected, named = collection.Collection(root), set()
  for table in tables:
    for place, row in _rows(table):
      try:
        fields = lines.json_object(row) if isinstance(row, bytes) else row
        _check_row(fields)
        named.add(table.parent / lines.string(fields, 'file_name'))
        collected.add(_utterance(fields, table.parent, root), place)
      except lines.LineError as error:
        collected.refuse_line(error, place)
  for file in files:
    if formats.is_recording(file) and file not in named and file.is_file():
      name, reason = (
        _name(file, root),
        f'in no row of a {lines.listed(_TABLES)}.',
      )
      collected.refuse(_Kind.NO_TRANSCRIPT, name, str(file), reason)
  return collected.result()


def _rows(
  table: pathlib.Path,
) -> Iterator[tuple[str, bytes | dict[str, Any]]]:
  """With their places; a row of JSON is not parsed yet."""
  if table.suffix == '.csv':
    yield from _csv_rows(table)
    return
  for number, line in lines.numbered(table, 'the metadata'):
    yield f'{table}:{number}', line


def _csv_rows(table: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
  """Rows by the number of their last line; a quoted text may have several."""
  content = lines.content(table, 'the metadata')
  decoded = content.decode(errors='surrogateescape')
  reader = csv.DictReader(io.StringIO(decoded, newline=''), strict=True)
  try:
    names = reader.fieldnames or []
    if 'file_name' not in names or not set(_TEXTS) & set(names):
      raise utterance.CorpusError(
        f'{table}: columns {", ".join(names)}; want file_name and '
        f'{lines.listed(_TEXTS)}, separated by commas.'
      )
    for row in reader:
      yield f'{table}:{reader.line_num}', row
  except csv.Error as error:
    raise utterance.CorpusError(
      f'{table}:{reader.line_num}: not CSV: {error}.'
    ) from None


def _check_row(fields: Mapping[Any, Any]) -> None:
  """Raises where a row of CSV is not UTF-8 or has columns without name."""
  if None in fields:
    reason = 'more columns than the first line has.'
    raise lines.LineError(_Kind.BAD_LINE, '', reason)
  for value in fields.values():
    if isinstance(value, str) and any('\ud800' <= c <= '\udfff' for c in value):
      raise lines.LineError(_Kind.BAD_LINE, '', 'not UTF-8.')


def _utterance(
  fields: Mapping[str, Any], folder: pathlib.Path, root: pathlib.Path
) -> utterance.Utterance:
  file = folder / lines.string(fields, 'file_name')
  name = _name(file, root)
  if not lines.is_file(file):
    raise lines.LineError(_Kind.MISSING_FILE, name, f'no file {file}.')
  column = lines.present(fields, _TEXTS)
  if column is None:
    reason = f'lacks {lines.listed(_TEXTS)}.'
    raise lines.LineError(_Kind.NO_TRANSCRIPT, name, reason)
  # In CSV, nothing is ''.
  named = {key: None if value == '' else value for key, value in fields.items()}
  return utterance.Utterance(
    id=name,
    speaker=lines.first_name(named, _SPEAKERS),
    text=lines.string(fields, column, may_be_empty=True),
    duration=0.0,
    source=utterance.AudioFile(str(file)),
  )


def _name(file: pathlib.Path, root: pathlib.Path) -> str:
  if not file.is_relative_to(root):  # An absolute path in the metadata.
    return file.stem
  return file.relative_to(root).with_suffix('').as_posix()
