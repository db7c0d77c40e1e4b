"""Levels of few bits against what QSGD promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.federated import quantisation

STOCHASTIC, NEAREST = config.Rounding.STOCHASTIC, config.Rounding.NEAREST
NUM_DRAWS = 4000


def values():
  rng = np.random.default_rng(0)
  found = np.float32(rng.normal(size=40) * 1e-3)
  found[[3, 17]] = 0.0
  return found


def of(update, bits, rounding, key=None):
  key = jax.random.key(0) if key is None else key
  return quantisation.quantised({'a': jnp.asarray(update)}, bits, rounding, key)


@pytest.fixture(scope='module')
def draws():
  """[draws, numbers] of each number of bits."""
  keys = jax.random.split(jax.random.key(1), NUM_DRAWS)

  def drawn(bits):
    def one(key):
      coded = of(values(), bits, STOCHASTIC, key)
      return quantisation.dequantised(coded)['a'], coded.levels['a']

    return jax.device_get(jax.jit(jax.vmap(one))(keys))

  return {bits: drawn(bits) for bits in range(1, 9)}


@pytest.mark.parametrize('bits', range(1, 9))
def test_stochastic_levels_are_unbiased(draws, bits):
  found, _ = draws[bits]
  error = found.mean(0, dtype=np.float64) - values()
  # Of numbers whose draws are all the same, the deviation is 0.
  deviation = found.std(0, dtype=np.float64) / np.sqrt(NUM_DRAWS)
  assert (np.abs(error) <= 4.5 * deviation + 1e-9).all()


@pytest.mark.parametrize('bits', range(1, 9))
def test_levels_fit_the_bits_and_zero_stays_zero(draws, bits):
  found, levels = draws[bits]
  # 1 bit: -1 and 1; else all from -s to s.
  allowed = {-1, 1} if bits == 1 else {*range(-127, 128)}
  largest = 1 if bits == 1 else 2 ** (bits - 1) - 1
  assert set(np.unique(levels)) <= allowed
  assert np.abs(levels).max() == largest
  assert len(np.unique(levels)) <= 2**bits
  if bits > 1:
    assert (found[:, values() == 0] == 0).all()


@pytest.mark.parametrize('bits', range(2, 9))
def test_squared_error_is_within_qsgds_bound(draws, bits):
  """Lemma 3.1 of Alistarh et al.: min(n / s^2, sqrt(n) / s) |x|^2."""
  found, _ = draws[bits]
  x, s = np.float64(values()), 2 ** (bits - 1) - 1
  error = np.square(found - x).sum(1).mean()
  n, square = len(x), np.square(x).sum()
  assert error <= min(n / s**2, np.sqrt(n) / s) * square
  # And within that of the docstring, which is less.
  scale = np.abs(x).max() / s
  assert error <= 1.02 * min(scale * np.abs(x).sum(), n * scale**2 / 4)


def test_squared_error_of_one_bit(draws):
  found, _ = draws[1]
  x = np.float64(values())
  error = np.square(found - x).sum(1).mean()
  wanted = len(x) * np.abs(x).max() ** 2 - np.square(x).sum()
  assert error == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize('bits', range(2, 9))
def test_nearest_loses_less_than_it_is_given(bits):
  """Of error feedback this is asked; of one number it is far from all."""
  rng = np.random.default_rng(bits)
  for x in (
    values(),
    np.float32(rng.standard_cauchy(1000)),
    np.float32([1, 0]),
  ):
    got = quantisation.dequantised(of(x, bits, NEAREST))['a']
    lost = np.float64(x) - np.asarray(got)
    assert np.square(lost).sum() < np.square(np.float64(x)).sum()
    assert (np.abs(lost) <= np.abs(x) * (1 + 1e-6)).all()


@pytest.mark.parametrize('rounding', config.Rounding)
def test_what_is_too_small_for_a_scale_is_zero_and_not_nan(rounding):
  """XLA takes a scale below the smallest normal number for zero."""
  got = jax.jit(lambda x: quantisation.dequantised(of(x, 8, rounding))['a'])(
    np.float32([1e-37, -5e-38, 0])
  )
  np.testing.assert_array_equal(got, 0)
