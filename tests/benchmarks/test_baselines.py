"""What descent is tried with, what is reported of it, and what it takes."""

import time

import baseline_cells
import baselines
import jax
import pytest

from fedjax_asr import command_line, config


def _row(cell, *snr, stage='tune'):
  return {
    'stage': stage,
    'cell': cell,
    'device': 'cpu',
    'device_seconds': 12.0,
    'utterances': [
      {
        'snr_db': each,
        'public_snr_db': 0.0,
        'correlation': None if each is None else 0.5,
        'wer': None,
        'original_wer': None,
        'is_certified': False,
      }
      for each in snr
    ],
  }


def _matching(distance='l2', optimizer='adam', **fields):
  cell = {'distance': distance, 'optimizer': optimizer, **fields}
  return {'method': 'gradient_matching'} | cell


def test_each_distance_is_tried_with_each_way_down_and_with_a_prior():
  cells = baseline_cells.tuned(100, 2, 300)
  matching = [cell for cell in cells if cell['method'] == 'gradient_matching']
  ways = ('adam', 'signed_adam', 'lbfgs')
  for distance in config.Distance:
    own = [cell for cell in matching if cell['distance'] == distance.value]
    assert {cell['optimizer'] for cell in own} == set(ways)
    assert any('speech_prior' in cell for cell in own)
    assert any('smoothing' in cell for cell in own)
  assert any(cell['method'] == 'hessian_free' for cell in cells)
  assert len({str(cell) for cell in cells}) == len(cells)


@pytest.mark.parametrize('index', [0, -1])
def test_cells_are_settings_of_the_attack(index, tmp_path):
  cell = baseline_cells.tuned(100, 2, 300)[index]
  cfg = baselines._config(cell, 3, ['--config.seed=4'], str(tmp_path))
  assert cfg.attack.methods == (cell['method'],)
  own = getattr(cfg.attack, cell['method'])
  for name, value in cell.items():
    if name != 'method':
      assert getattr(own, name) == value
  assert cfg.attack.knows_transcript
  assert cfg.attack.knows_length
  assert cfg.seed == 4


def test_the_best_of_each_kind_is_reported_at_full_strength_and_once():
  worse = _row(_matching(num_iterations=10, halve_every=2), 1.0, 2.0, 3.0)
  better = _row(
    _matching(num_iterations=10, halve_every=2, learning_rate=0.3),
    2.0,
    5.0,
    6.0,
  )
  # A failure is inside the median: half of them is worse than any score.
  failed = _row(_matching(num_iterations=10, per_layer=True), 50.0, None, None)
  search = _row({'method': 'hessian_free', 'radius': 1.0}, -1.0)
  chosen = baseline_cells.reported(
    [worse, better, failed, search], 4000, 16, 50000
  )
  assert chosen == [
    _matching(
      num_iterations=4000, halve_every=800, learning_rate=0.3, num_restarts=16
    ),
    {
      'method': 'hessian_free',
      'radius': 1.0,
      'max_iterations': 50000,
      'patience': 2500,
    },
  ]


def test_a_trace_inside_another_is_counted_once():
  stretches = [(0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (7.0, 8.0)]
  assert baselines.covered(stretches) == 6.0
  assert baselines.covered([]) == 0.0


def test_compilation_is_told_from_what_is_computed():
  with baselines.compiling() as spent:
    started = time.perf_counter()
    jax.jit(lambda x: x * 2.5 + 1)(3.0).block_until_ready()
    taken = time.perf_counter() - started
  assert 0 < baselines.covered(spent) <= taken
  before = len(spent)
  jax.jit(lambda x: x * 3.5 + 1)(3.0).block_until_ready()
  assert len(spent) == before


def test_table_has_the_best_first_and_failures_inside():
  rows = [
    _row(_matching(num_iterations=10), 1.0, None, None, stage='report'),
    _row(_matching('l1', num_iterations=10), 3.0, 4.0, None, stage='report'),
  ]
  *_, first, second = baselines.tables(rows).splitlines()
  assert first.startswith('| gradient_matching, distance=l1, optimizer=adam |')
  assert '| 3 | 1 | 3.0 dB' in first
  assert '| 3 | 2 | refused |' in second


def test_a_stage_that_has_nothing_to_report_says_so(tmp_path, capsys):
  assert baselines.main(['', str(tmp_path / 'r.json'), 'report']) == 1
  assert 'want the stage tune first' in capsys.readouterr().err
  assert baselines.main(['', str(tmp_path / 'r.json'), 'tuning']) == 2


def test_the_attacked_model_is_the_tiny_one():
  from fedjax_asr.presets import models

  parsed = command_line.parse(['', *baselines._ATTACKED, '--workdir=x'])
  assert parsed.config.model.ds1 == models.ds1('tiny').ds1
