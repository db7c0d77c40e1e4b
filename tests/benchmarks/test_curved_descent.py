"""The climb of the noisy attack, measured."""

import curved_descent
import pytest
import small_update


def test_each_way_is_measured_against_the_best():
  _, problem = small_update.problem(14, 1e-2)
  rows = curved_descent.measured(problem, 14, (5, 300), (5, 100))
  assert [(row['way'], row['iterations']) for row in rows] == [
    ('plain', 5),
    ('plain', 300),
    ('curved', 5),
    ('curved', 100),
  ]
  above = [row['above'] for row in rows]
  assert min(above) == 0
  assert above[2] < above[0]
  assert above[3] == pytest.approx(0, abs=0.5)
  assert all(row['seconds'] > 0 for row in rows)
