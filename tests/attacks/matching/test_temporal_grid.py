import itertools

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.matching import temporal_grid

LAYOUTS = [(100, 30, 10), (100, 30, 25), (100, 30, 0), (31, 30, 15), (7, 2, 1)]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_grids_cover_all_frames_and_overlap_as_told(layout):
  num_frames, length, overlap = layout
  grids = temporal_grid.grids(*layout)
  assert grids[0].start == 0
  assert grids[-1].end == num_frames
  assert {grid.end - grid.start for grid in grids} == {length}
  shared = [a.end - b.start for a, b in itertools.pairwise(grids)]
  assert all(item == overlap for item in shared[:-1])
  assert shared[-1] >= overlap


@pytest.mark.parametrize('layout', LAYOUTS)
def test_blend_masks_sum_to_one_and_stay_inside_their_grid(layout):
  grids = temporal_grid.grids(*layout)
  masks = temporal_grid.masks(grids, layout[0])
  np.testing.assert_allclose(masks.sum(0), 1.0)
  for mask, (start, end) in zip(masks, grids, strict=True):
    assert (mask[start:end] > 0).all()
    assert not mask[:start].any()
    assert not mask[end:].any()


def test_a_cross_fade_is_linear():
  grids = (temporal_grid.Grid(0, 6), temporal_grid.Grid(3, 9))
  masks = temporal_grid.masks(grids, 9)
  np.testing.assert_allclose(masks[0], [1, 1, 1, 3 / 4, 2 / 4, 1 / 4, 0, 0, 0])


def test_without_a_length_or_with_a_long_one_all_frames_are_one_grid():
  for length in (0, 40, 41):
    grids = temporal_grid.grids(40, length, 10)
    assert grids == (temporal_grid.Grid(0, 40),)
    assert (temporal_grid.masks(grids, 40) == 1).all()


@pytest.mark.parametrize('layout', LAYOUTS)
def test_blending_one_after_another_is_the_weighted_mean(layout):
  grids = temporal_grid.grids(*layout)
  masks = temporal_grid.masks(grids, layout[0])
  rng = np.random.default_rng(0)
  found = rng.standard_normal((len(grids), 2, layout[0], 3))
  canvas = rng.standard_normal((2, layout[0], 3))
  for index, values in enumerate(found):
    canvas = temporal_grid.blended(canvas, values, masks, index)
  np.testing.assert_allclose(canvas, np.einsum('gt,grtf->rtf', masks, found))


def test_an_overlap_as_long_as_a_grid_is_refused():
  with pytest.raises(config.ConfigError, match='grid_overlap=30; want less'):
    temporal_grid.grids(100, 30, 30)
