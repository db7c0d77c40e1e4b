"""Tables of attacks, against records whose medians are known by hand."""

import json
import pathlib
import re

import pytest

from benchmarks import attack_rows, attack_tables

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PAGES = [_ROOT / 'README.md', *sorted((_ROOT / 'docs').glob('*.md'))]
_ROW = attack_rows.Row('new', 'a gradient', 'old')


def _record(index, **changes):
  return {
    'victim': f'v{index}',
    'utterance': f'u{index}',
    'method': 'span',
    'refused': '',
    'is_certified': True,
    'num_frames': 100,
    'num_frames_found': 100,
    'snr_db': 10.0 * index,
    'mcd_db': 1.0,
    'public_snr_db': None,
    'public_mcd_db': None,
    'wer': None,
    'seconds': 2.0,
  } | changes


def _refused(index, **changes):
  """As it was written once: zeros for scores."""
  certified = {'is_certified': False, 'num_frames_found': 0}
  return _record(index, refused='noise', snr_db=0.0, **certified) | changes


def _write(results, name, records, **more):
  file = results / f'{name}.json'
  file.parent.mkdir(exist_ok=True)
  file.write_text(json.dumps({'records': records} | more))


def _cells(table):
  """Of the body, line by line."""
  return [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in table.splitlines()[2:]
  ]


def _measured(tmp_path, records, name='attack_old'):
  _write(tmp_path, name, records)
  return _cells(attack_tables.measured([_ROW], tmp_path))[0]


def test_failures_are_inside_the_median_and_the_fraction(tmp_path):
  # Of a refusal, 10, 20 and 30 dB: 15. Wilson for 3 of 4: 30 to 95%.
  records = [_record(1), _record(2), _record(3), _refused(4)]
  assert _measured(tmp_path, records) == [
    'a gradient',
    'float32',
    '3 of 4 (30 to 95%)',
    '-',
    '-',
    '3',
    '15.0 dB (refused to 30.0)',
    '10.0 dB',
    '2, 2',
  ]


def test_what_is_certified_in_part_does_not_vanish(tmp_path):
  part = _record(
    1,
    num_frames_found=97,
    snr_db=15.5,
    is_whole=False,
    determined_snr_db=88.0,
  )
  records = [part]
  records += [
    _record(index, is_whole=True, determined_snr_db=10.0 * index)
    for index in range(9, 13)
  ]
  cells = _measured(tmp_path, records)
  assert cells[2:6] == ['5 of 5 (57 to 100%)', '4', '1', '4']
  assert cells[7] == '15.5 dB; 88.0 of what is determined'
  # Before certificates told, neither did the table; its least is the same.
  for record in records:
    del record['is_whole'], record['determined_snr_db']
  cells = _measured(tmp_path, records)
  assert cells[2:6] == ['5 of 5 (57 to 100%)', '-', '-', '4']
  assert cells[7] == '15.5 dB'


def test_utterances_of_a_batch_count_as_one_update(tmp_path):
  records = [
    _record(index, victim=f'v{update}', snr_db=10.0 * update)
    for update in (1, 2, 3)
    for index in range(30)
  ]
  cells = _measured(tmp_path, records)
  assert cells[2] == '90 of 90: 3 of 3 updates (44 to 100%)'
  assert cells[6] == '20.0 dB (10.0 to 30.0)'
  # Two seconds of an update are not those of each of its utterances.
  assert cells[8] == '2, 2'


def test_an_attacker_goes_by_what_is_certified_and_pays_for_all(tmp_path):
  records = [
    _record(1, is_certified=False, snr_db=5.0),
    _record(1, method='seed_and_grow', snr_db=70.0, seconds=30.0),
    _record(2, snr_db=30.0, is_whole=False),
    _record(2, method='seed_and_grow', snr_db=90.0, is_whole=True),
    _refused(3, seconds=40.0),
    _record(3, method='seed_and_grow', is_certified=False, snr_db=4.0),
  ]
  cells = _measured(tmp_path, records)
  assert cells[2] == '2 of 3 (21 to 94%)'
  assert cells[6] == '70.0 dB (4.0 to 90.0)'
  assert cells[7] == '70.0 dB'
  assert cells[8] == '32, 42'


def test_each_precision_is_a_line_and_what_is_missing_says_so(tmp_path):
  _write(tmp_path, 'attack_old', [_record(1)])
  _write(tmp_path, 'attacks/new_tf32', [_record(7)])
  lines = _cells(attack_tables.measured([_ROW], tmp_path))
  assert [line[:3] for line in lines] == [
    ['a gradient', 'float32', '1 of 1 (21 to 100%)'],
    ['', 'TF32', '1 of 1 (21 to 100%)'],
    ['', 'bf16', 'not measured'],
  ]
  # One update has no interval.
  assert [line[6] for line in lines] == ['10.0 dB', '70.0 dB', '']
  # What is measured again takes the place of what was.
  _write(tmp_path, 'attacks/new_float32', [_record(9)])
  lines = _cells(attack_tables.measured([_ROW], tmp_path))
  assert lines[0][6] == '90.0 dB'


def test_trained_rows_tell_what_the_model_hears_in_its_victims(tmp_path):
  records = [_record(1, wer=1.0), _record(2, wer=1.2), _refused(3, wer=9.0)]
  _write(tmp_path, 'attack_old', records)
  (line, _) = _cells(attack_tables.measured_of_trained([_ROW], tmp_path))
  assert line[-1] == '110%'


def test_the_short_table_has_a_column_for_each_precision(tmp_path):
  _write(tmp_path, 'attack_old', [_record(8), _record(10), _record(12)])
  cut = _record(9, num_frames_found=90)
  _write(tmp_path, 'attacks/new_bfloat16', [cut, _refused(2), _refused(3)])
  assert _cells(attack_tables.short([_ROW], tmp_path)) == [
    [
      'a gradient',
      '3 of 3, 100 dB',
      'not measured',
      '1 of 3 (1 in part), refused',
      '2 s',
    ]
  ]


def test_the_short_table_says_how_many_updates_a_batch_row_is(tmp_path):
  records = [_record(8, victim='v1'), _record(9, victim='v1')]
  _write(tmp_path, 'attack_old', records)
  (cells,) = _cells(attack_tables.short([_ROW], tmp_path))
  assert cells[1] == '2 of 2 in 1 updates, 85 dB'


def test_descents_stand_beside_the_public_mean(tmp_path):
  _write(tmp_path, 'attack_old', [_record(1), _record(2)])
  other = _record(1, public_snr_db=8.0, public_mcd_db=9.0, mcd_db=2e-6)
  _write(tmp_path, 'attack_b', [other])
  rows = (_ROW, attack_rows.Row('b', 'span', 'b'))
  rows += (attack_rows.Row('c', 'missing', 'c'),)
  groups = [attack_rows.Descent('DS1', rows)]
  assert _cells(attack_tables.descents(groups, tmp_path)) == [
    ['DS1', '', 'missing', 'not measured', '', ''],
    ['DS1', 'v1', 'public mean', '8.0 dB', '9.0 dB', '-'],
    ['DS1', 'v1', 'a gradient', '10.0 dB', '1.0 dB', '2'],
    ['DS1', 'v1', 'span', '10.0 dB', '2e-06 dB', '2'],
    ['DS1', 'v2', 'a gradient', '20.0 dB', '1.0 dB', '2'],
  ]


def test_speed_is_of_the_process_compiled_where_it_was_measured_again(tmp_path):
  machine = {'cores': 2, 'devices': ['cpu']}
  once = {'machine': machine, 'total_seconds': 60.0}
  records = [_record(1), _record(2)]
  _write(tmp_path, 'attack_old', records, **once)
  said = [['a gradient', '2 cores, cpu', '2', '60', '2']]
  assert _cells(attack_tables.speeds([_ROW], tmp_path)) == said
  _write(tmp_path, 'attack_old', records, again_seconds=30.0, **once)
  said = [['a gradient', '2 cores, cpu', '2', '30', '4']]
  assert _cells(attack_tables.speeds([_ROW], tmp_path)) == said


def test_any_files_are_a_table(tmp_path, capsys):
  _write(tmp_path, 'x', [_record(1)])
  assert attack_tables.main(['', str(tmp_path / 'x.json')]) == 0
  assert '| x |  | 1 of 1 (21 to 100%) |' in capsys.readouterr().out
  assert attack_tables.main(['', 'nothing']) == 2
  assert "'nothing'; want some of" in capsys.readouterr().err


def test_a_page_is_filled_between_its_marks_and_nowhere_else(tmp_path):
  page = 'a\n<!-- table: ds2 -->\nold\n<!-- end of table -->\nb\n'
  filled = attack_tables.filled(page, tmp_path)
  assert filled.startswith('a\n<!-- table: ds2 -->\n| what is attacked |')
  assert filled.endswith('|\n<!-- end of table -->\nb\n')
  assert 'old' not in filled
  assert attack_tables.filled(filled, tmp_path) == filled
  with pytest.raises(KeyError, match='none'):
    attack_tables.filled(page.replace('ds2', 'none'))


@pytest.mark.parametrize('page', _PAGES, ids=lambda page: page.name)
def test_tables_of_the_docs_are_those_of_the_records(page):
  text = page.read_text(encoding='utf-8')
  assert attack_tables.filled(text) == text, (
    f'python benchmarks/attack_tables.py --write {page.relative_to(_ROOT)}'
  )


def test_every_table_is_in_a_page():
  text = ''.join(page.read_text(encoding='utf-8') for page in _PAGES)
  places = re.findall(r'<!-- table: (\S+) -->', text)
  assert sorted(places) == sorted(attack_tables.tables())
