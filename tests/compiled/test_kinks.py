"""What is held to a reference beside its kinks."""

import kinks
import numpy as np
import pytest

PARAMS = {'dense': {'kernel': np.eye(50), 'bias': np.zeros(50, np.float32)}}


def test_biases_are_moved_by_rounding_and_nothing_else():
  assert kinks.rounded(PARAMS, 0) is PARAMS
  moved = kinks.rounded(PARAMS, 1)['dense']
  np.testing.assert_array_equal(moved['kernel'], PARAMS['dense']['kernel'])
  assert np.abs(moved['bias']).min() > 0
  assert np.abs(moved['bias']).max() <= kinks.ROUNDING
  assert (moved['bias'] > 0).any()
  assert (moved['bias'] < 0).any()
  assert (moved['bias'] != kinks.rounded(PARAMS, 2)['dense']['bias']).all()


def test_a_comparison_that_holds_for_one_draw_holds():
  asked = []

  def check(draw, tolerance):
    asked.append(tolerance)
    assert draw == 3

  kinks.hold(check)
  assert asked == [1e-5, 1e-4, 1e-4, 1e-4]


def test_what_holds_for_none_fails_as_the_given_ones_do():
  def check(draw, tolerance):
    assert draw is None, f'draw {draw}'

  with pytest.raises(AssertionError, match='draw 0'):
    kinks.hold(check)
