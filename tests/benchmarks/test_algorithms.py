"""The table of algorithms, by hand."""

import algorithms


def row(name, wer, worst, wer_by_round):
  return {
    'point': {'name': name, 'seed': 0},
    'final': {'eval/wer': wer, 'eval/utterance_wer': 2 * wer},
    'worst_decile': worst,
    'wer_by_round': wer_by_round,
  }


ROWS = [
  row('slow', 0.30, 0.5, {'10': 0.9, '20': 0.3}),
  row('slow', 0.20, 0.6, {'10': 0.9, '20': 0.2}),
  row('fast', 0.10, 0.2, {'10': 0.15, '20': 0.1}),
]


def test_algorithms_are_ranked_by_their_mean():
  lines = algorithms.table(ROWS).splitlines()[2:]
  assert [line.split('|')[1].strip() for line in lines] == ['fast', 'slow']


def test_intervals_are_students_and_failures_are_counted():
  fast, slow = algorithms.table(ROWS).splitlines()[2:]
  # One seed has no interval; two have t = 12.706 times 5%.
  assert '| 1 | 10.0% | 10.0% | 20.0% | 20.0% | 10 (1 of 1) |' in fast
  assert '| 2 | 25.0% ± 63.5% | 30.0% | 50.0% ± 127.1% |' in slow
  assert slow.endswith('| 20 (1 of 2) |')
