"""Points of a sweep, trained once each and ranked."""

import concurrent.futures
import json
import os

import pytest
import sweep


def _row(point, wer):
  final = {'eval/wer': wer, 'eval/utterance_wer': 2 * wer}
  return {'point': point, 'seconds': 3.0, 'final': final}


def test_table_has_the_lowest_error_rate_first():
  rows = [_row({'seed': 0}, 0.25), _row({'seed': 1}, 0.125)]
  *_, first, second = sweep.table(rows).splitlines()
  assert first == '| 1 | 12.5% | 25.0% | 3 |'
  assert second.startswith('| 0 | 25.0%')


def test_points_that_are_there_are_not_trained_again(tmp_path, monkeypatch):
  trained = []

  def train(point, flags, of_run):
    trained.append(point)
    if point['seed'] == 2:
      return {'point': point, 'error': 'diverged'}
    return _row(point, 0.5)

  monkeypatch.setattr(sweep, '_trained', train)
  # A spawned process would not know of the line above.
  monkeypatch.setattr(
    sweep,
    '_processes',
    lambda count, kinds: concurrent.futures.ThreadPoolExecutor(count),
  )
  result = tmp_path / 'result.json'
  points = [{'seed': seed} for seed in range(3)]
  record = {
    'points': [_row(points[0], 0.5)],
    'machine': {'devices': ['cpu']},
  }
  assert sweep.measure(result, record, points, [], 1) == 1
  assert trained == points[1:]
  saved = json.loads(result.read_text())['points']
  assert [row['point'] for row in saved] == points[:2]


def test_what_main_says_of_an_error_is_the_row_s():
  assert 'config.federated.num_rounds' in sweep.run_main(
    ['--config=ds2_fedavg:smoke', '--config.federated.num_rounds=-1']
  )


@pytest.mark.parametrize(('num_gpus', 'wanted'), [(2, '01010'), (1, '')])
def test_processes_share_the_gpus_evenly(monkeypatch, num_gpus, wanted):
  kinds = ['NVIDIA H100'] * num_gpus
  pool = sweep._processes(5, kinds)
  seen = ''
  for _ in range(5):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    pool._initializer(*pool._initargs)
    seen += os.environ.get('CUDA_VISIBLE_DEVICES', '')
  pool.shutdown()
  assert seen == wanted
