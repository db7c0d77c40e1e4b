"""Factors of an utterance by the units that it opens."""

import numpy as np
import pytest

from fedjax_asr.attacks.ds1 import activity_pattern, span_evidence
from fedjax_asr.models import activation

WINDOWS, TAPS, UNITS = 12, 8, 40


def _drawn(seed, bias=1.0, size=1.0):
  rng = np.random.default_rng(seed)
  windows = rng.standard_normal((WINDOWS, TAPS))
  kernel = size * rng.standard_normal((TAPS, UNITS))
  layer = span_evidence.Layer(kernel, bias * rng.standard_normal(UNITS))
  return windows, layer


def _is_open(windows, layer):
  inputs = windows @ layer.kernel + layer.bias
  return (inputs > 0) & (inputs < activation.CLIP)


def _pattern(windows, layer):
  is_open = _is_open(windows, layer)
  return activity_pattern.Pattern(is_open, ~is_open)


@pytest.mark.parametrize('true', [0.3, 2.0, -0.3, -2.0])
@pytest.mark.parametrize(('bias', 'size'), [(1.0, 1.0), (0.0, 8.0)])
def test_the_factor_is_where_nothing_contradicts(true, bias, size):
  windows, layer = _drawn(0, bias, size)
  windows = windows * 2 / abs(true)
  pattern = _pattern(true * windows, layer)
  found = activity_pattern.factor(pattern, windows, layer)
  assert found.sign == np.sign(true)
  assert found.low < abs(true) < found.high
  assert found.error < 0.2
  middle = _is_open(found.value * windows, layer)
  np.testing.assert_array_equal(middle, pattern.is_open)
  # And beyond its ends something does.
  for size in (0.999 * found.low, 1.001 * found.high):
    other = _is_open(found.sign * size * windows, layer)
    assert (other != pattern.is_open).any()


def test_without_biases_and_clip_the_sign_is_told_and_the_size_is_open():
  windows, layer = _drawn(1, bias=0.0)
  pattern = _pattern(-0.5 * windows, layer)
  found = activity_pattern.factor(pattern, windows, layer)
  assert found.sign == -1
  assert found.low == 0
  assert found.error == np.inf
  assert 0 < abs(found.value) < found.high


def test_behind_dropout_a_unit_without_a_signal_may_be_open():
  windows, layer = _drawn(2)
  pattern = _pattern(windows, layer)
  kept = np.random.default_rng(0).random(pattern.is_open.shape) > 0.5
  dropped = activity_pattern.Pattern(
    pattern.is_open & kept, np.zeros_like(kept)
  )
  found = activity_pattern.factor(dropped, windows, layer)
  assert found.low < 1 < found.high
  whole = activity_pattern.factor(pattern, windows, layer)
  assert found.error > whole.error


def test_a_unit_counts_as_open_if_it_is_at_the_start_or_in_the_end():
  windows, layer = _drawn(3)
  ended = _drawn(4)[1]
  start, end = _is_open(windows, layer), _is_open(windows, ended)
  pattern = activity_pattern.Pattern(start | end, ~(start | end))
  layer = layer._replace(end=(ended.kernel, ended.bias))
  found = activity_pattern.factor(pattern, windows, layer)
  assert found.low < 1 < found.high


def test_a_few_wrong_pairs_change_the_error_and_hardly_the_factor():
  windows, layer = _drawn(5)
  pattern = _pattern(windows, layer)
  wrong = np.random.default_rng(0).random(pattern.is_open.shape) > 0.98
  spoilt = activity_pattern.Pattern(
    pattern.is_open ^ wrong, pattern.is_shut ^ wrong
  )
  found = activity_pattern.factor(spoilt, windows, layer)
  exact = activity_pattern.factor(pattern, windows, layer)
  assert abs(np.log(found.value)) < found.error
  assert found.error > exact.error


def test_signals_under_the_noise_are_neither_open_nor_shut():
  values = np.array([[1.0, 1e-3, 0.0], [9e-6, 1e-6, 0.0]])
  sizes = np.array([1.0, 1.0, 0.0])
  spread = np.array([1e-12, 1e-12])
  pattern = activity_pattern.of_signals(
    values, spread, sizes, has_dropout=False
  )
  # Noise of 1e-6: 9e-6 is not beyond ten deviations of it, and the second
  # window gets too little for anything to be missing.
  np.testing.assert_array_equal(
    pattern.is_open, [[True, True, False], [False, False, False]]
  )
  assert not pattern.is_shut.any()
  silent = np.array([[1.0, 0.0, 0.0]])
  for has_dropout in (False, True):
    pattern = activity_pattern.of_signals(
      silent, spread[:1], sizes, has_dropout=has_dropout
    )
    np.testing.assert_array_equal(
      pattern.is_shut, [[False, not has_dropout, False]]
    )
