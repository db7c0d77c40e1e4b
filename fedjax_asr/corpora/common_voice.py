"""Mozilla Common Voice: a table of clips beside the folder `clips`.

Columns of the table, which is separated by tabs and quotes nothing, are found
by name: `client_id`, a person, is the speaker; `path` a file of `clips`;
`sentence` the transcript. Others are ignored.
"""

import pathlib
from collections.abc import Mapping

from fedjax_asr.corpora import collection, lines, problem, utterance

_Kind = problem.Kind
_COLUMNS = ('client_id', 'path', 'sentence')
# Of a folder: all that listeners agreed on, and else what is trained on.
_TABLES = ('validated.tsv', 'train.tsv')


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """Clips of a table (*.tsv), or of a folder's validated.tsv or train.tsv.

  A row with fewer columns than the table has, a clip that is not there and a
  repeated one are problems.

  Raises:
    CorpusError: there is no table, or it lacks a column or rows.
  """
  table = _table(pathlib.Path(path))
  (_, header), *rows = lines.numbered(table, 'the table') or [(1, b'')]
  names = _header(table, header)
  if not rows:
    raise utterance.CorpusError(f'{table}: a table without rows.')
  found = collection.Collection(table)
  for number, line in rows:
    place = f'{table}:{number}'
    try:
      found.add(_utterance(_fields(names, line), table.parent / 'clips'), place)
    except lines.LineError as error:
      found.refuse_line(error, place)
  return found.result()


def _table(path: pathlib.Path) -> pathlib.Path:
  if not path.is_dir():
    return path
  for name in _TABLES:
    if (path / name).is_file():
      return path / name
  raise utterance.CorpusError(
    f"{path}: no {lines.listed(_TABLES)} in it; want a language's folder of "
    'Common Voice, or one of its tables.'
  )


def _header(table: pathlib.Path, line: bytes) -> list[str]:
  try:
    names = lines.decoded(line).split('\t')
  except lines.LineError as error:
    raise utterance.CorpusError(f'{table}:1: {error.args[2]}') from None
  missing = [name for name in _COLUMNS if name not in names]
  if missing:
    raise utterance.CorpusError(
      f'{table}: no column {", ".join(missing)}; want {", ".join(_COLUMNS)}, '
      'separated by tabs.'
    )
  return names


def _fields(names: list[str], line: bytes) -> dict[str, str]:
  values = lines.decoded(line).split('\t')
  if len(values) != len(names):
    reason = f'{len(values)} columns; want {len(names)}, as its first line has.'
    raise lines.LineError(_Kind.BAD_LINE, '', reason)
  return dict(zip(names, values, strict=True))


def _utterance(
  fields: Mapping[str, str], clips: pathlib.Path
) -> utterance.Utterance:
  file = clips / lines.string(fields, 'path')
  if not lines.is_file(file):
    raise lines.LineError(_Kind.MISSING_FILE, file.stem, f'no file {file}.')
  return utterance.Utterance(
    id=file.stem,
    speaker=fields['client_id'],
    text=fields['sentence'],
    duration=0.0,
    source=utterance.AudioFile(str(file)),
  )
