"""Utterances whose last windows an update does not hold, or hardly."""

import numpy as np
import pytest

from fedjax_asr.attacks import context_windows, subspace
from fedjax_asr.attacks.ds1 import open_end

SHAPE = context_windows.Shape(3, 1, 8)
NUM_FRAMES, NUM_UNITS = 25, 96


def kernel_of(sizes, stride=1, seed=0):
  """(utterance, sum of outer products in float32) with d_t of these sizes."""
  rng = np.random.default_rng(seed)
  shape = SHAPE._replace(stride=stride)
  utterance = rng.standard_normal((stride * len(sizes), shape.num_features))
  windows = context_windows.windows(utterance, shape, len(sizes))
  signals = rng.standard_normal((len(sizes), NUM_UNITS)) * sizes[:, None]
  kernel = windows.T.astype(np.float32) @ signals.astype(np.float32)
  return utterance, kernel.astype(np.float64), shape


def beginning(kernel, shape):
  found = open_end.beginning(kernel, shape, np.random.default_rng(1))
  assert found is not None
  return found


def sizes_without(num_missing, size=0.0):
  sizes = np.ones(NUM_FRAMES)
  sizes[len(sizes) - num_missing :] = size
  return sizes


def snr(found, wanted):
  factor = np.vdot(found, wanted) / np.vdot(found, found)
  error = np.sum((factor * found - wanted) ** 2)
  return 10 * np.log10(np.sum(wanted**2) / error)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('num_missing', [0, 1, 2, 3])
def test_frames_that_some_window_saw_are_all_found(num_missing, stride):
  utterance, kernel, shape = kernel_of(sizes_without(num_missing), stride)
  found = beginning(kernel, shape)
  assert found.num_windows == NUM_FRAMES - num_missing
  seen = stride * (found.num_windows - 1) + shape.context + 1
  wanted = utterance[:seen]
  assert len(found.frames) == len(wanted)
  assert snr(found.frames, wanted) > 80
  assert found.gap > 1e4


def test_what_no_window_saw_is_not_made_up():
  utterance, kernel, shape = kernel_of(sizes_without(6))
  found = beginning(kernel, shape)
  # The last of 19 windows sees three frames on.
  assert len(found.frames) == NUM_FRAMES - 3
  assert snr(found.frames, utterance[:-3]) > 80


def test_weak_windows_have_neither_a_rank_nor_a_say():
  """Where the numerical rank is wrong, and a span of it does not hold."""
  sizes = sizes_without(3, 1e-7)
  sizes[10:13] = 1e-3
  utterance, kernel, shape = kernel_of(sizes)
  assert subspace.column_space(kernel).rank != NUM_FRAMES
  found = beginning(kernel, shape)
  assert snr(found.frames, utterance[: len(found.frames)]) > 50
  assert len(found.frames) >= NUM_FRAMES - 1
  assert found.gap > 100


def test_noise_is_told_by_its_gap():
  rng = np.random.default_rng(2)
  kernel = rng.standard_normal((SHAPE.width * SHAPE.num_features, NUM_UNITS))
  found = beginning(kernel, SHAPE)
  assert found.gap < 100


@pytest.mark.parametrize(
  ('units', 'features'), [(open_end._NUM_NOISE, 8), (NUM_UNITS, 2)]
)
def test_too_few_units_or_windows_are_nothing_to_begin_with(units, features):
  shape = SHAPE._replace(num_features=features)
  kernel = np.ones((shape.width * shape.num_features, units))
  assert open_end.beginning(kernel, shape, np.random.default_rng(0)) is None


def test_its_stages_are_told():
  _, kernel, shape = kernel_of(sizes_without(2))
  told = []
  rng = np.random.default_rng(1)
  found = open_end.beginning(kernel, shape, rng, told.append)
  begun, ended = told
  assert 'looking for the last' in begun
  assert f'after {found.num_windows} windows' in ended
