"""Frames told from their mixtures."""

import jax
import numpy as np
import small_front

from fedjax_asr import config
from fedjax_asr.attacks.ds2 import sparse_frames

CFG = config.DemixingConfig(num_searches=2, num_search_iterations=900)


def _truth():
  _, _, (frames,) = small_front.observed((21,))
  return small_front.unit(frames)


def _basis(frames):
  return np.linalg.qr(frames.T)[0]


def test_all_frames_are_found_and_none_that_is_not_one():
  truth = _truth()
  found = sparse_frames.frames(_basis(truth), CFG, jax.random.key(0))
  likeness = truth @ found.directions.T
  np.testing.assert_allclose(likeness.max(0), 1, atol=1e-9)
  assert sorted(likeness.argmax(0)) == list(range(len(truth)))
  zeros = (truth == 0).sum(1)[likeness.argmax(0)]
  np.testing.assert_array_equal(found.num_zeros, zeros)


def test_of_what_is_known_beforehand_only_frames_are_kept():
  truth = _truth()
  mixture = truth[3] + truth[7]
  known = np.vstack([truth[:8], mixture / np.linalg.norm(mixture)])
  found = sparse_frames.frames(
    _basis(truth), CFG, jax.random.key(0), known=known
  )
  np.testing.assert_allclose(found.directions[:8], truth[:8])
  likeness = truth @ found.directions.T
  np.testing.assert_allclose(likeness.max(0), 1, atol=1e-9)
  assert len(found.directions) == len(truth)


def test_nothing_is_found_in_a_subspace_without_sparse_vectors():
  basis = _basis(np.random.default_rng(0).standard_normal((12, 160)))
  found = sparse_frames.frames(basis, CFG, jax.random.key(0))
  assert len(found.directions) == 0


def test_units_that_are_always_zero_make_no_corner_a_frame():
  dense = np.abs(np.random.default_rng(0).standard_normal((11, 160)))
  basis = _basis(np.pad(dense, ((0, 0), (0, 20))))
  toward = dense.sum(0) @ basis[:160]
  corner = sparse_frames.cheapest(basis, toward, np.ones(180) / 180)
  num_zeros = (np.abs(corner) < 1e-9).sum()
  assert num_zeros == 20 + 10
  assert not sparse_frames._is_frame(basis, corner)


def test_a_corner_is_exact_where_rounding_takes_a_small_entry_for_zero():
  truth = _truth()
  basis = _basis(truth)
  near = truth[4] - 0.01 * truth[7]
  found = sparse_frames._at_corner(basis, near / np.linalg.norm(near))
  np.testing.assert_allclose(found @ truth[4], 1, atol=1e-9)


def test_frames_much_like_known_ones_are_found_beside_them():
  truth = _truth()
  likeness = truth @ truth.T - np.eye(len(truth))
  missing = [int(likeness.max(1).argmax()), 3]
  basis = _basis(truth)
  known = np.delete(truth, missing, axis=0)
  found = sparse_frames._with_neighbours(
    basis,
    sparse_frames.Frames(known, np.zeros(len(known), int)),
    np.random.default_rng(0),
  )
  assert len(found.directions) == len(truth)
  for index in missing:
    np.testing.assert_allclose(
      (found.directions @ truth[index]).max(), 1, atol=1e-9
    )
