"""The tables of algorithms, by hand, and that configs/algorithms.py has what
was tried."""

import json
import pathlib

import algorithms
import algorithms_figure
import numpy as np
import pytest

from configs import algorithms as config_file

RESULTS = pathlib.Path(algorithms.__file__).parent / 'results'


def row(name, wer, worst, wer_by_round, *, seed=0, own=None):
  return {
    'point': {'name': name, 'seed': seed},
    'final': {'eval/wer': wer},
    'shared': {'wer': 2 * wer, 'worst_decile': worst},
    'own': own,
    'wer_by_round': wer_by_round,
    'virtual_time': 7200.0 if wer <= algorithms.USEFUL_WER else None,
  }


ROWS = [
  row('slow', 0.30, 0.5, {'10': 0.9, '20': 0.3}),
  row('slow', 0.20, 0.6, {'10': 0.9, '20': 0.2}),
  row(
    'fast',
    0.10,
    0.2,
    {'10': 0.15, '20': 0.1},
    own={'wer': 0.05, 'worst_decile': 0.07},
  ),
]


def rows_of(name):
  return json.loads((RESULTS / f'algorithms_{name}.json').read_text())['points']


def test_algorithms_are_ranked_by_their_mean():
  lines = algorithms.table(ROWS).splitlines()[2:]
  assert [line.split('|')[1].strip() for line in lines] == ['fast', 'slow']


def test_intervals_are_students_and_failures_are_counted():
  fast, slow = algorithms.table(ROWS).splitlines()[2:]
  # One seed has no interval; two have t = 12.706 times 5%.
  assert fast == (
    '| fast | 1 | 10.0% | - | 10.0% | 20.0% | 20.0% | 5.0% | 7.0% '
    '| 10 (1 of 1) | 2 (1 of 1) |'
  )
  assert slow == (
    '| slow | 2 | 25.0% ± 63.5% | - | 30.0% | 50.0% ± 127.1% | 55.0% ± 63.5% '
    '| - | - | 20 (1 of 2) | 2 (1 of 2) |'
  )


def test_runs_are_compared_with_fedadam_s_of_their_seed():
  rows = [
    row(name, wer, 0.5, {}, seed=seed)
    for name, wers in (('fedadam', (0.1, 0.3)), ('other', (0.35, 0.15)))
    for seed, wer in enumerate(wers)
  ]
  ours, other = algorithms.table(rows).splitlines()[2:]
  # 25% above, and 15% below: the mean is 5%, and t = 12.706 times 20%.
  assert ours.split('|')[4].strip() == '-'
  assert other.split('|')[4].strip() == '5.0% ± 254.1%'


def test_a_run_is_useful_from_its_first_low_error_rate():
  rounds = [
    {'virtual_time': 1.0},
    {'eval/wer': 0.5, 'virtual_time': 2.0},
    {'eval/wer': 0.1, 'virtual_time': 3.0},
    {'eval/wer': 0.3, 'virtual_time': 4.0},
  ]
  assert algorithms.useful_time(rounds) == 3.0
  assert algorithms.useful_time(rounds[:2]) is None


def test_models_of_clients_decide_where_there_are_any():
  own = [
    row('own', wer, 0.5, {}, own={'wer': rate, 'worst_decile': 0.5})
    for wer, rate in ((0.1, 0.4), (0.2, 0.3))
  ]
  assert algorithms.chosen(own) is own[1]
  assert algorithms.chosen(ROWS) is ROWS[2]
  assert '| own | **' in algorithms.choices(own)


def test_what_was_tried_is_what_the_config_names():
  tried = [row['point'] for row in rows_of('tuning')]
  wanted = list(config_file.sweep('tuning'))
  assert [point for point in tried if point not in wanted] == []
  assert [point for point in wanted if point not in tried] == []


def test_settings_are_the_best_of_those_tried():
  points = [point | {'seed': 0} for point in config_file.sweep('tuning')]
  best = {
    name: algorithms.chosen(rows)['point'] | {'seed': 0}
    for name, rows in algorithms.by_name(rows_of('tuning')).items()
  }
  settings = [point for point in config_file.sweep('') if point['seed'] == 0]
  assert {point['name'] for point in points} == set(best)
  assert settings == [best[point['name']] for point in settings]


@pytest.mark.parametrize('name', ['speaker', 'transcript'])
def test_what_was_compared_are_these_settings(name):
  wanted = list(config_file.sweep(''))
  assert [row for row in rows_of(name) if row['point'] not in wanted] == []


def test_each_seed_is_drawn_on_its_algorithm_s_line():
  groups = algorithms.by_name(ROWS)
  figure = algorithms_figure.drawn({'all': groups, 'one': {'fast': [ROWS[2]]}})
  wer, worst = figure.axes
  assert [text.get_text() for text in wer.get_yticklabels()] == ['fast', 'slow']
  drawn = {
    tuple(np.round(line.get_xdata(), 6)): np.round(line.get_ydata()).tolist()
    for line in wer.lines
    if line.get_marker() != '|'
  }
  assert drawn == {(0.1,): [0.0], (0.3, 0.2): [1.0, 1.0]}
  (mean,) = [
    line.get_xdata()
    for line in worst.lines
    if line.get_marker() == '|' and round(line.get_ydata()[0]) == 1
  ]
  assert mean == pytest.approx([0.55])


@pytest.mark.parametrize('name', ['speaker', 'transcript'])
def test_the_docs_have_the_tables_of_what_was_measured(name):
  page = RESULTS.parent.parent / 'docs' / 'algorithms.md'
  assert algorithms.table(rows_of(name)) in page.read_text()
