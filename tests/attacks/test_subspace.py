"""Numerical rank, and the spaces inside and outside the columns."""

import numpy as np
import pytest

from fedjax_asr.attacks import subspace


def _low_rank(rng, dim, rank, outputs, decay=0.0):
  """A matrix of this rank, its singular values falling by 10**decay."""
  left = np.linalg.qr(rng.standard_normal((dim, rank)))[0]
  right = np.linalg.qr(rng.standard_normal((outputs, rank)))[0]
  return left @ np.diag(np.logspace(0, -decay, rank)) @ right.T


@pytest.mark.parametrize('shape', [(30, 80), (80, 30), (40, 40)])
@pytest.mark.parametrize('rank', [1, 7, 25])
def test_rank_and_space_are_exact_where_there_is_no_noise(shape, rank):
  matrix = _low_rank(np.random.default_rng(0), shape[0], rank, shape[1])
  space = subspace.column_space(matrix)
  assert space.rank == rank
  assert space.complement.shape == (shape[0], shape[0] - rank)
  np.testing.assert_allclose(space.complement.T @ matrix, 0, atol=1e-14)
  whole = np.concatenate([space.basis, space.complement], axis=1)
  np.testing.assert_allclose(whole.T @ whole, np.eye(shape[0]), atol=1e-12)


@pytest.mark.parametrize('decay', [1.0, 3.0, 5.0])
def test_rank_is_found_above_float32_rounding(decay):
  matrix = _low_rank(np.random.default_rng(1), 60, 25, 150, decay)
  assert (
    subspace.column_space(matrix.astype(np.float32).astype(np.float64)).rank
    == 25
  )


def test_a_larger_drop_inside_the_signal_is_passed_over():
  rng = np.random.default_rng(2)
  matrix = _low_rank(rng, 60, 25, 150, 2.0)
  loud = np.outer(rng.standard_normal(60), rng.standard_normal(150)) * 1e3
  noise = rng.standard_normal((60, 150)) * 1e-5
  space = subspace.column_space(matrix + loud + noise)
  drops = space.singular_values[:-1] / space.singular_values[1:]
  assert np.argmax(drops) == 0
  assert space.rank == 26


def test_columns_and_rows_of_zeros_change_nothing():
  rng = np.random.default_rng(3)
  matrix = np.zeros((40, 90))
  matrix[5:35, 10:80] = _low_rank(rng, 30, 12, 70, 3.0).astype(np.float32)
  space = subspace.column_space(matrix)
  assert space.rank == 12
  np.testing.assert_allclose(space.basis[:5], 0, atol=1e-14)


def test_noise_alone_has_no_gap_and_full_rank():
  noise = np.random.default_rng(4).standard_normal((30, 100))
  space = subspace.column_space(noise)
  assert space.gap == 1
  assert space.rank == 30
  assert space.complement.shape == (30, 0)


def test_a_zero_matrix_has_rank_zero():
  space = subspace.column_space(np.zeros((8, 5)))
  assert space.rank == 0
  assert space.basis.shape == (8, 0)
  np.testing.assert_allclose(space.complement.T @ space.complement, np.eye(8))


def _rank(matrix):
  values = np.linalg.svd(matrix, compute_uv=False)
  return subspace.numerical_rank(values, matrix.shape)


@pytest.mark.parametrize(
  ('shape', 'draws'),
  [((3, 3), 2000), ((3, 4), 2000), ((40, 40), 400), ((300, 300), 8)],
)
def test_the_last_values_of_square_noise_are_no_drop(shape, draws):
  """The least one is x times smaller with a probability of 1/x: a fixed limit
  of 3 takes it for a drop in every third matrix."""
  rng = np.random.default_rng(5)
  gaps = [_rank(rng.standard_normal(shape))[1] for _ in range(draws)]
  assert np.mean(np.array(gaps) > 1) < 2e-3


@pytest.mark.parametrize(('rank', 'decay'), [(9, 3.0), (30, 4.0)])
def test_units_that_are_hardly_active_do_not_hide_the_drop(rank, decay):
  """Rounding goes with each entry: of units of very different sizes, noise
  falls by orders of magnitude, and its least values by leaps."""
  rng = np.random.default_rng(6)
  matrix = _low_rank(rng, 160, rank, 192, decay)
  matrix *= np.exp(2 * rng.standard_normal((160, 1)))
  matrix *= np.exp(rng.standard_normal(192))
  matrix[-4:] *= np.logspace(-3, -6, 4)[:, None]
  assert _rank(matrix.astype(np.float32).astype(np.float64))[0] == rank


@pytest.mark.parametrize('left', [3, 10])
def test_rank_is_found_where_little_noise_is_left(left):
  rng = np.random.default_rng(7)
  matrix = _low_rank(rng, 80, 80 - left, 80, 2.0)
  found, gap = _rank(matrix + 1e-7 * rng.standard_normal(matrix.shape))
  assert found == 80 - left
  assert gap > 100
