"""Which points of the defences are measured, and which are known already."""

import pytest

from benchmarks import defences


def test_only_what_is_missing_is_measured():
  points = defences._points('dropout')
  leaked = {'certified': {}, 'num_refused': 0}
  rows = [
    {'defence': 'dropout', 'point': points[0], **leaked, 'wer': 0.1},
    {'defence': 'dropout', 'point': points[1], **leaked},
    # As it was recorded once, without a count of refusals.
    {'defence': 'dropout', 'point': points[2], 'certified': {}, 'wer': 0.1},
  ]
  tasks = defences._missing(rows, ['dropout'], with_wer=True)
  asked = sorted((rows.index(row), task.__name__) for row, task in tasks)
  assert len(rows) == len(points) == 4
  assert asked == [
    (1, 'word_errors'),
    (2, 'leakage'),
    (3, 'leakage'),
    (3, 'word_errors'),
  ]
  assert [task.__name__ for _, task in tasks[:2]] == ['word_errors'] * 2


def test_every_defence_of_the_config_is_measured():
  for variant in defences.VARIANTS:
    assert defences._points(variant)


def test_table_has_dashes_for_what_was_not_measured():
  row = {
    'defence': 'dropout',
    'point': {'model.ds1.dropout': 0.1},
    'certified': {'count': 3, 'of': 4},
    'snr_db': {'min': None, 'median': 92.06, 'max': 95.0},
    'num_refused': 1,
    'speaker_top1': {'original': 1.0, 'span': 0.25},
  }
  half = {'defence': 'dropout', 'point': {'model.ds1.dropout': 0.2}, 'wer': 0.3}
  _, _, first, second = defences.table([row, half]).splitlines()
  assert (
    first == '| dropout | dropout 0.1 | 3 of 4 | 1 of 4 | 92.1 dB | 25% | - |'
  )
  assert second == '| dropout | dropout 0.2 | - | - | - | - | 30.0% |'


@pytest.mark.parametrize(
  ('changes', 'cells'),
  [
    ({'num_refused': 8, 'snr_db': None}, '8 of 8 | refused'),
    ({'num_refused': 3, 'snr_db': (None, 18.8, 47.8)}, '3 of 8 | 18.8 dB'),
    ({'num_refused': 0, 'snr_db': (-1.0, 18.8, 20.0)}, '0 of 8 | 18.8 dB'),
  ],
)
def test_refusal_is_not_printed_as_zero_decibels(changes, cells):
  values = changes.pop('snr_db') or (None, None, None)
  row = {
    'defence': 'noise',
    'point': {},
    'certified': {'count': 0, 'of': 8},
    'snr_db': dict(zip(('min', 'median', 'max'), values, strict=True)),
    'refused': ['why'],
    'speaker_top1': {},
  } | changes
  line = defences.table([row]).splitlines()[-1]
  assert f' of 8 | {cells} | - | - |' in line
