"""The banded system against a dense one, and its smallest eigenpairs."""

import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.ds1 import window_system
from fedjax_asr.models import convolution

SHAPES = [
  context_windows.Shape(2, 1, 3),
  context_windows.Shape(2, 2, 3),
  context_windows.Shape(3, 3, 2),
  context_windows.Shape(0, 1, 4),
]


def _projector(rng, shape, rank):
  """Onto the complement of a space of this rank."""
  taps = shape.width * shape.num_features
  basis = np.linalg.qr(rng.standard_normal((taps, rank)))[0]
  return np.eye(taps) - basis @ basis.T


def _dense(projector, shape, num_windows):
  """A by its definition: windows of one unit utterance after another."""
  frames = shape.stride * num_windows
  units = np.eye(frames * shape.num_features)
  columns = [
    context_windows.windows(
      unit.reshape(frames, shape.num_features), shape, num_windows
    )
    for unit in units
  ]
  selected = np.array(columns)
  return np.einsum('atx,xy,bty->ab', selected, projector, selected)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('num_frames', [1, 2, 7, 12])
def test_windows_are_those_of_the_model(shape, num_frames):
  x = np.random.default_rng(0).standard_normal((num_frames, 3))
  taps = convolution.time_taps(
    jnp.asarray(x, jnp.float32)[None], shape.width, shape.stride
  )[0]
  windows = context_windows.windows(x, shape, len(taps))
  np.testing.assert_array_equal(windows.astype(np.float32), taps)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('num_windows', [1, 2, 4, 9])
def test_band_is_that_of_the_definition(shape, num_windows):
  projector = _projector(np.random.default_rng(1), shape, 3)
  dense = _dense(projector, shape, num_windows)
  band = window_system.banded(
    projector, shape, shape.stride * num_windows, np.ones(num_windows)
  )
  for offset, row in enumerate(band):
    expected = np.zeros(len(dense))
    diagonal = np.diagonal(dense, -offset)
    expected[: len(diagonal)] = diagonal
    np.testing.assert_allclose(row, expected, atol=1e-12)


@pytest.mark.parametrize('shape', SHAPES[:3])
def test_smallest_eigenpairs_are_those_of_the_dense_matrix(shape):
  rng = np.random.default_rng(2)
  projector = _projector(rng, shape, 5)
  values, vectors = np.linalg.eigh(_dense(projector, shape, 8))
  found = window_system.smallest(projector, shape, 8, 1, rng)
  np.testing.assert_allclose(found.values, values[:1], rtol=1e-3)
  cosine = found.utterances[0].ravel() @ vectors[:, 0]
  assert abs(cosine) > 0.99


@pytest.mark.parametrize('shape', SHAPES[:3])
def test_weights_and_frames_behind_are_those_of_the_dense_matrix(shape):
  """Against the sum over windows, each as a matrix of its own."""
  rng = np.random.default_rng(6)
  root = _projector(rng, shape, 5) + 0.1 * np.eye(
    shape.width * shape.num_features
  )
  weights = rng.uniform(0.1, 2.0, 8)
  num_frames = shape.stride * 7 + shape.context + 1
  unknowns = num_frames * shape.num_features
  selections = np.stack(
    [
      context_windows.windows(unit.reshape(num_frames, -1), shape, 8)
      for unit in np.eye(unknowns)
    ],
    axis=-1,
  )
  outside = root @ selections
  dense = np.einsum('t,twx,twy->xy', weights, outside, outside)
  values, vectors = np.linalg.eigh(dense)
  found = window_system.smallest(
    root, shape, 8, 1, rng, num_frames=num_frames, weights=weights
  )
  np.testing.assert_allclose(found.values, values[:1], rtol=1e-3)
  assert abs(found.utterances[0].ravel() @ vectors[:, 0]) > 0.99


def _members(rng, shape, lengths):
  """Utterances of these numbers of windows, and the projector beside all."""
  utterances = [
    rng.standard_normal((shape.stride * length, shape.num_features))
    for length in lengths
  ]
  spanned = np.concatenate(
    [
      context_windows.windows(utterance, shape, length)
      for utterance, length in zip(utterances, lengths, strict=True)
    ]
  )
  basis = np.linalg.qr(spanned.T)[0]
  return utterances, np.eye(len(basis)) - basis @ basis.T


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('lengths', [(3,), (14,), (4, 9), (6, 6, 2)])
def test_the_system_is_singular_at_the_lengths_of_the_utterances(
  stride, lengths
):
  shape = context_windows.Shape(2, stride, 6)
  rng = np.random.default_rng(3)
  _, projector = _members(rng, shape, lengths)
  values = window_system.eigenvalues_by_length(projector, shape, 16, 4)
  singular = {
    length: int((row < 1e-10).sum())
    for length, row in enumerate(values, 1)
    if row[0] < 1e-10
  }
  assert singular == {each: lengths.count(each) for each in lengths}
  assert values[values >= 1e-10].min() > 1e-4


def test_schur_complement_bounds_the_smallest_eigenvalue_from_above():
  shape = context_windows.Shape(2, 1, 3)
  projector = _projector(np.random.default_rng(4), shape, 6)
  values = window_system.eigenvalues_by_length(projector, shape, 10, 1)[:, 0]
  for num_windows in range(1, 11):
    dense = _dense(projector, shape, num_windows)
    assert values[num_windows - 1] >= np.linalg.eigvalsh(dense)[0] - 1e-10


@pytest.mark.parametrize('shape', SHAPES[:2])
def test_an_utterance_is_the_only_one_in_the_span_of_its_windows(shape):
  shape = shape._replace(num_features=6)
  rng = np.random.default_rng(5)
  (utterance,), projector = _members(rng, shape, (10,))
  found = window_system.smallest(projector, shape, 10, 2, rng)
  cosine = np.vdot(found.utterances[0], utterance) / np.linalg.norm(utterance)
  assert abs(abs(cosine) - 1) < 1e-12
  assert found.values[1] > 1e10 * found.values[0]
