"""Prints the tables of README and docs that show results of attacks.

  python benchmarks/attack_tables.py [TABLE ...]
  python benchmarks/attack_tables.py RESULT.json [RESULT.json ...]
  python benchmarks/attack_tables.py --write PAGE.md [PAGE.md ...]

prints all tables, those named, or one of any files that `attack.py` wrote; with
--write it puts each table of a page between its lines `<!-- table: TABLE -->`
and `<!-- end of table -->`. Which files they show is in `attack_rows.py`; what
is said of them is computed from the records, by the rule of
`attack_summary.py`, and never read from a summary that was written before.
"""

import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attack_rows
import attack_summary

from fedjax_asr.attacks.measure import score_summary

RESULTS = pathlib.Path(__file__).resolve().parent / 'results'
# Of the products in the client's model: as in names of files, and in tables.
_PRECISIONS = {'float32': 'float32', 'tf32': 'TF32', 'bfloat16': 'bf16'}
_MARKED = re.compile(
  r'(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)', re.DOTALL
)
_NOT_MEASURED = 'not measured'


def main(argv: list[str]) -> int:
  names = argv[1:]
  if names[:1] == ['--write']:
    for path in map(pathlib.Path, names[1:]):
      path.write_text(filled(path.read_text()))
    return 0
  if names and all(name.endswith('.json') for name in names):
    print(of_files([pathlib.Path(name) for name in names]))
    return 0
  known = tables()
  if unknown := [name for name in names if name not in known]:
    print(f'error: {unknown[0]!r}; want some of {[*known]}.', file=sys.stderr)
    return 2
  for name in names or known:
    print(f'<!-- table: {name} -->\n{known[name]()}\n')
  return 0


def tables(results: pathlib.Path = RESULTS) -> dict[str, Callable[[], str]]:
  """By name, what makes a table in Markdown of the results in a folder."""
  kinds = (
    (measured, attack_rows.UNTRAINED),
    (measured_of_trained, attack_rows.TRAINED),
    (short, attack_rows.SHORT),
    (descents, attack_rows.DESCENTS),
    (speeds, attack_rows.SPEEDS),
  )
  return {
    name: lambda make=make, rows=rows: make(rows, results)
    for make, of_kind in kinds
    for name, rows in of_kind.items()
  }


def filled(text: str, results: pathlib.Path = RESULTS) -> str:
  """A page with its tables made anew.

  Raises:
    KeyError: it has a place for a table that is none of `tables`.
  """
  known = tables(results)
  return _MARKED.sub(
    lambda found: f'{found[1]}{known[found[2]]()}\n{found[3]}', text
  )


def read(
  row: attack_rows.Row, precision: str, results: pathlib.Path
) -> dict[str, Any] | None:
  """What was recorded of a row in a precision; None where nothing was."""
  files = [results / 'attacks' / f'{row.name}_{precision}.json']
  if precision == 'float32' and row.earlier:
    files.append(results / f'attack_{row.earlier}.json')
  for file in files:
    if file.exists():
      return json.loads(file.read_text())
  return None


_HEAD = (
  'what is attacked',
  'products',
  'certified',
  'whole',
  'in part',
  'of true length',
  'median SNR',
  'least certified',
  'seconds, median and most',
)


def measured(rows: Sequence[attack_rows.Row], results: pathlib.Path) -> str:
  """A line for each precision of each row."""
  return _markdown(_HEAD, _lines(rows, results, _cells))


def measured_of_trained(
  rows: Sequence[attack_rows.Row], results: pathlib.Path
) -> str:
  """The same, with the error rate of the victim's model on its victims."""

  def cells(found):
    wer = '-' if found.wer is None else f'{found.wer:.0%}'
    return [*_cells(found), wer]

  head = [*_HEAD, "the model's WER on these victims"]
  return _markdown(head, _lines(rows, results, cells))


def of_files(paths: Sequence[pathlib.Path]) -> str:
  """A line for each file."""
  body = []
  for path in paths:
    records = json.loads(path.read_text())['records']
    body.append([path.stem, '', *_cells(attack_summary.summary(records))])
  return _markdown(_HEAD, body)


def _lines(rows, results, cells) -> list[list[str]]:
  lines = []
  for row in rows:
    label, missing = row.label, []
    for precision, name in _PRECISIONS.items():
      if record := read(row, precision, results):
        found = attack_summary.summary(record['records'])
        lines.append([label, name, *cells(found)])
        label = ''
      else:
        missing.append(name)
    if missing:
      lines.append([label, ', '.join(missing), _NOT_MEASURED])
  return lines


def _cells(found: attack_summary.Summary) -> list[str]:
  certified = found.certified
  whole, in_part = '-', '-'
  if certified.whole is not None:
    whole, in_part = certified.whole, certified.count - certified.whole
  return [
    _share(found),
    f'{whole}',
    f'{in_part}',
    f'{certified.true_length}',
    _median(found),
    _least(certified),
    f'{_number(found.median_seconds)}, {_number(found.most_seconds)}',
  ]


def _share(found: attack_summary.Summary) -> str:
  certified = found.certified
  low, high = (round(100 * each) for each in certified.interval)
  updates = ''
  if found.num_updates != found.num_utterances:
    updates = f': {certified.updates} of {found.num_updates} updates'
  said = f'{certified.count} of {found.num_utterances}'
  return f'{said}{updates} ({low} to {high}%)'


def _median(found: attack_summary.Summary) -> str:
  said = score_summary.shown(found.snr.middle, '{:.1f} dB')
  if found.num_updates == 1:
    return said
  low, high = (score_summary.shown(each, '{:.1f}') for each in found.snr[1:])
  return f'{said} ({low} to {high})'


def _least(certified: attack_summary.Certified) -> str:
  if certified.least is None:
    return '-'
  said, determined = f'{certified.least:.1f} dB', certified.least_determined
  if determined is None or f'{determined:.1f} dB' == said:
    return said
  return f'{said}; {determined:.1f} of what is determined'


def _number(value: float) -> str:
  return f'{value:.2g}' if abs(value) < 10 else f'{value:.0f}'


def short(rows: Sequence[attack_rows.Row], results: pathlib.Path) -> str:
  """A line for each row, a column for each precision, float32's seconds."""
  body = []
  for row in rows:
    records = [read(row, precision, results) for precision in _PRECISIONS]
    found = [
      record and attack_summary.summary(record['records']) for record in records
    ]
    seconds = f'{_number(found[0].median_seconds)} s' if found[0] else '-'
    body.append([row.label, *map(_short, found), seconds])
  return _markdown(['victim', *_PRECISIONS.values(), 'an attack takes'], body)


def _short(found: attack_summary.Summary | None) -> str:
  if found is None:
    return _NOT_MEASURED
  certified = found.certified
  said = f'{certified.count} of {found.num_utterances}'
  if found.num_updates != found.num_utterances:
    said += f' in {found.num_updates} updates'
  # Where certificates did not tell, the truth does.
  whole = certified.true_length if certified.whole is None else certified.whole
  if whole < certified.count:
    said += f' ({certified.count - whole} in part)'
  return f'{said}, {score_summary.shown(found.snr.middle, "{:.0f} dB")}'


def descents(
  groups: Sequence[attack_rows.Descent], results: pathlib.Path
) -> str:
  """A line for each record, beside what the mean of public speech scores."""
  head = ['speaker', 'method', 'SNR', 'MCD', 'seconds']
  body = []
  for group in groups:
    made = []
    for row in group.rows:
      if record := read(row, 'float32', results):
        made += [(row.label, each) for each in record['records']]
      else:
        body.append([group.label, '', row.label, _NOT_MEASURED])
    for name in dict.fromkeys(record['utterance'] for _, record in made):
      of_it = [each for each in made if each[1]['utterance'] == name]
      body += [[group.label, *line] for line in _descent_lines(of_it)]
  return _markdown(['model', *head], body)


def _descent_lines(made) -> Iterable[list[str]]:
  """Of one utterance; what the public mean scores is in any of the records."""
  for _, record in made:
    if record.get('public_snr_db') is not None:
      scores = record['public_snr_db'], record['public_mcd_db']
      yield [record['victim'], 'public mean', *_decibels(*scores), '-']
      break
  for label, record in made:
    record = score_summary.read(record)
    scores = _decibels(record['snr_db'], record['mcd_db'])
    yield [record['victim'], label, *scores, _number(record['seconds'])]


def _decibels(snr: float | None, mcd: float | None) -> list[str]:
  close = mcd is not None and mcd < 0.1
  return [
    score_summary.shown(snr, '{:.1f} dB'),
    score_summary.shown(mcd, '{:.0e} dB' if close else '{:.1f} dB'),
  ]


def speeds(rows: Sequence[attack_rows.Row], results: pathlib.Path) -> str:
  """Of whole processes: features, compilation, files and figures inside.

  Without compilation where the same was measured again in one process.
  """
  head = ['attack', 'machine', 'updates', 'seconds', 'updates a minute']
  body = []
  for row in rows:
    record = read(row, 'float32', results)
    if record is None:
      body.append([row.label, _NOT_MEASURED])
      continue
    machine = record['machine']
    count = len(attack_summary.seconds_of_updates(record['records']))
    seconds = record.get('again_seconds') or record['total_seconds']
    devices = ', '.join(machine['devices'])
    body.append(
      [
        row.label,
        f'{machine["cores"]} cores, {devices}',
        f'{count}',
        _number(seconds),
        _number(60 * count / seconds),
      ]
    )
  return _markdown(head, body)


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
  lines = [head, ['---'] * len(head)]
  lines += [[*row, *[''] * (len(head) - len(row))] for row in body]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
