"""Stretches that may be of any length, as windows have them."""

import numpy as np
import pytest

from fedjax_asr.attacks import context_windows, undetermined

SHAPE = context_windows.Shape(3, 1, 4)  # Windows of 7 frames.


def _speech(num_frames, seed=0):
  return np.random.default_rng(seed).standard_normal((num_frames, 4))


def _held(count, place=10):
  """A frame that lasts for `count` frames."""
  frames = _speech(30)
  return np.insert(frames, [place] * (count - 1), frames[place], axis=0)


def _distinct_windows(frames, shape):
  count = -(-len(frames) // shape.stride)
  windows = context_windows.windows(frames, shape, count)
  return {window.tobytes() for window in windows}


@pytest.mark.parametrize('count', [1, 2, 6])
def test_a_run_that_no_window_is_within_is_determined(count):
  assert undetermined.stretches(_held(count), SHAPE) == ()


@pytest.mark.parametrize('count', [7, 8, 20])
def test_a_run_as_long_as_a_window_is_not(count):
  assert undetermined.stretches(_held(count), SHAPE) == ((10, 10 + count),)


@pytest.mark.parametrize('count', [7, 8])
def test_what_is_undetermined_may_be_longer_without_a_new_window(count):
  """The claim itself: one frame more, and the set of windows is the same."""
  shorter = _distinct_windows(_held(count), SHAPE)
  assert _distinct_windows(_held(count + 1), SHAPE) == shorter
  fewer = _distinct_windows(_held(5), SHAPE)
  assert _distinct_windows(_held(6), SHAPE) != fewer


def test_a_pattern_that_repeats_is_undetermined():
  frames = _speech(30)
  pattern = np.tile(_speech(3, seed=1), (5, 1))
  found = undetermined.stretches(np.insert(frames, 12, pattern, 0), SHAPE)
  assert found == ((12, 27),)
  short = np.tile(_speech(3, seed=1), (2, 1))
  assert undetermined.stretches(np.insert(frames, 12, short, 0), SHAPE) == ()


def test_with_a_stride_equal_frames_are_those_that_windows_meet():
  shape = SHAPE._replace(stride=2)
  assert undetermined.stretches(_held(6), shape) == ()
  assert undetermined.stretches(_held(9), shape) == ((10, 19),)


def test_zeros_at_the_ends_are_not_told_from_what_is_beyond():
  frames = np.pad(_speech(20), ((2, 1), (0, 0)))
  assert undetermined.stretches(frames, SHAPE) == ((0, 2), (22, 23))


def test_a_feature_of_zeros_and_no_frames_are_no_obstacle():
  frames = _speech(20)
  frames[:, 1] = 0
  assert undetermined.stretches(frames, SHAPE) == ()
  assert undetermined.stretches(frames[:0], SHAPE) == ()
