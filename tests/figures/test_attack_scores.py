"""Scores of attacks: intervals, chance, several attacks side by side."""

import json
import math

import numpy as np
import pytest

from fedjax_asr import run_error
from fedjax_asr.figures import attack_scores, drawn_attack, intervals

_RECORD = {
  'round': 0,
  'method': 'span',
  'ledger': {},
  'refused': '',
  'is_certified': True,
  'num_frames': 30,
  'num_frames_found': 30,
  'mae': 0.01,
  'correlation': 0.5,
  'best_lag_correlation': 0.9,
  'lag_frames': 3,
  'public_snr_db': 2.0,
}


def attack(path, values):
  """Of one victim each; None: refused."""
  records = [
    _RECORD
    | {'utterance': f'u{index}', 'victim': f'v{index}', 'snr_db': value}
    | ({} if value is not None else {'refused': 'why', 'num_frames_found': 0})
    for index, value in enumerate(values)
  ]
  path.mkdir()
  (path / 'attack.json').write_text(json.dumps(records))
  return drawn_attack.DrawnAttack(path)


def bands(axes):
  """(lowest, highest) of each band; the SNR's axes have them last."""
  return [
    (float(path.vertices[:, 1].min()), float(path.vertices[:, 1].max()))
    for each in axes.collections
    if type(each).__name__ == 'FillBetweenPolyCollection'
    for path in each.get_paths()
  ]


def test_the_interval_of_a_median_holds_the_medians_of_most_samples():
  rng = np.random.default_rng(3)
  held = 0
  for _ in range(60):
    values = rng.normal(7.0, 2.0, size=21).tolist()
    found = intervals.median(values, [str(index) for index in range(21)])
    assert found is not None
    held += found.low <= 7.0 <= found.high
  assert 50 <= held <= 60


def test_utterances_of_one_update_are_drawn_together():
  values = [1.0, 5.0] * 16
  one_by_one = [str(index) for index in range(32)]
  together = [str(index % 2) for index in range(32)]
  narrow = intervals.median(values, one_by_one)
  wide = intervals.median(values, together)
  # A draw of two updates is often of one of them alone.
  assert wide == (1.0, 5.0)
  assert narrow is not None
  assert intervals.median(values, ['a'] * 32) is None


def test_failures_are_inside_the_interval():
  names = [str(index) for index in range(9)]
  found = intervals.median([50.0] * 6 + [None] * 3, names)
  assert found == (-math.inf, 50.0)
  assert found.finite() == (None, 50.0)


def test_shares_have_wilsons_interval():
  # Of the paper's example with z of 1.96: 0 of 10, 8 of 10.
  np.testing.assert_allclose(intervals.share(0, 10), (0, 0.2775), atol=1e-4)
  np.testing.assert_allclose(
    intervals.share(8, 10), (0.4902, 0.9433), atol=1e-4
  )


def test_a_mean_of_few_has_students_interval():
  # Of 1, 2, 3: t(0.975, 2) = 4.3027, deviation 1, root of 3.
  spread = intervals.mean_spread(np.array([[1.0], [2.0], [3.0]]))
  np.testing.assert_allclose(spread, 4.30265 / np.sqrt(3), rtol=1e-5)


def test_bands_reach_the_floor_where_refusals_reach_into_them(tmp_path):
  whole = attack(tmp_path / 'whole', [40.0, 50.0, 60.0, 50.0])
  broken = attack(tmp_path / 'broken', [50.0, 50.0, 50.0, None])
  figure = attack_scores.draw([whole, broken])
  snr, correlation = figure.axes
  ((low, high), (open_low, open_high)) = bands(snr)
  assert 40 <= low < 50 < high <= 60
  assert open_low == snr.get_ylim()[0]
  assert open_high == 50
  ticks = [each.get_text() for each in correlation.get_xticklabels()]
  assert ticks == ['whole\nspan', 'broken\nspan\n1 of 4 refused']
  # The guess is a line over each column.
  guesses = [
    each.get_segments()[0][0][1]
    for each in snr.collections
    if hasattr(each, 'get_segments') and len(each.get_segments()) == 1
    if each.get_segments()[0][1][0] - each.get_segments()[0][0][0] == 1
  ]
  assert guesses == [2.0, 2.0]


def test_an_attack_that_is_given_twice_is_one_line(tmp_path, capsys):
  path = attack(tmp_path / 'a', [1.0]).path
  out = str(tmp_path / 'x.png')
  assert attack_scores.main(['x', out, str(path), str(path)]) == 2
  assert capsys.readouterr().err.count('\n') == 1
  with pytest.raises(run_error.RunError):
    attack_scores.draw([drawn_attack.DrawnAttack(tmp_path / 'no')])
