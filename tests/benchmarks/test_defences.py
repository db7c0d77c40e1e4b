"""Which points of the defences are measured, and which are known already."""

from benchmarks import defences


def test_only_what_is_missing_is_measured():
  points = defences._points('dropout')
  rows = [
    {'defence': 'dropout', 'point': points[0], 'certified': {}, 'wer': 0.1},
    {'defence': 'dropout', 'point': points[1], 'certified': {}},
  ]
  tasks = defences._missing(rows, ['dropout'], with_wer=True)
  asked = sorted((rows.index(row), task.__name__) for row, task in tasks)
  assert len(rows) == len(points) == 4
  assert asked == [
    (1, 'word_errors'),
    (2, 'leakage'),
    (2, 'word_errors'),
    (3, 'leakage'),
    (3, 'word_errors'),
  ]
  assert [task.__name__ for _, task in tasks[:3]] == ['word_errors'] * 3


def test_every_defence_of_the_config_is_measured():
  for variant in defences.VARIANTS:
    assert defences._points(variant)


def test_table_has_dashes_for_what_was_not_measured():
  row = {
    'defence': 'dropout',
    'point': {'model.ds1.dropout': 0.1},
    'certified': {'count': 3, 'of': 4},
    'snr_db': {'median': 92.06},
    'speaker_top1': {'original': 1.0, 'span': 0.25},
  }
  half = {'defence': 'dropout', 'point': {'model.ds1.dropout': 0.2}, 'wer': 0.3}
  _, _, first, second = defences.table([row, half]).splitlines()
  assert first == '| dropout | dropout 0.1 | 3 of 4 | 92.1 dB | 25% | - |'
  assert second == '| dropout | dropout 0.2 | - | - | - | 30.0% |'
