"""Inner products of sketches, against those of the vectors."""

import jax
import numpy as np
import pytest

from fedjax_asr.federated import sketch


def tree(seed, size):
  rng = np.random.default_rng(seed)
  return {
    'kernel': np.float32(rng.normal(size=(size, 30))),
    'bias': np.float32(rng.normal(size=77)),
  }


def numbers(update):
  return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(update)])


def cosine(one, other):
  left, right = np.float64(numbers(one)), np.float64(numbers(other))
  return left @ right / np.linalg.norm(left) / np.linalg.norm(right)


def mixed(share, size):
  """Two updates of about this cosine."""
  one, noise = tree(0, size), tree(1, size)
  other = jax.tree.map(lambda a, b: share * a + (1 - share) * b, one, noise)
  return one, other


def sketched_cosine(one, other):
  sketches = [jax.jit(sketch.sketched)(each) for each in (one, other)]
  return float(sketch.cosine(*sketches))


@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_of_few_numbers_the_cosine_is_exact(share):
  one, other = mixed(share, 100)
  assert len(numbers(one)) < sketch.SIZE
  assert sketched_cosine(one, other) == pytest.approx(
    cosine(one, other), abs=1e-5
  )


@pytest.mark.parametrize('share', [0.0, 0.3, 0.5, 0.9])
def test_of_many_it_is_within_its_standard_error(share):
  one, other = mixed(share, 20_000)
  error = sketched_cosine(one, other) - cosine(one, other)
  assert abs(error) < 3 / np.sqrt(sketch.SIZE)


def test_structure_does_not_spoil_it():
  """All numbers equal, and equal columns: without signs these would add up."""
  size = 5000
  one = {'a': np.ones((size, 16), np.float32)}
  other = {'a': np.tile(np.float32([1, -1] * 8), (size, 1))}
  assert abs(sketched_cosine(one, other)) < 3 / np.sqrt(sketch.SIZE)


def test_signs_are_even_and_places_are_all_used():
  ones = {'a': np.ones(64 * sketch.SIZE, np.float32)}
  values = np.asarray(sketch.sketched(ones))
  # A sum of 64 signs each.
  assert abs(values.mean()) < 4 * 8 / np.sqrt(sketch.SIZE)
  assert values.std() == pytest.approx(8, rel=0.05)


def test_nothing_has_no_direction():
  zero = {'a': np.zeros(9, np.float32)}
  one = {'a': np.ones(9, np.float32)}
  assert sketched_cosine(zero, one) == 0
