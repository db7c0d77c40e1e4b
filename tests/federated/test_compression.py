"""Each code against NumPy: what the server decodes."""

import jax
import ml_dtypes
import numpy as np
import population
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.federated import compression

METHOD = config.Compression
KEY = jax.random.key(0)


def tree():
  rng = np.random.default_rng(0)
  return {
    'kernel': np.float32(rng.normal(size=(9, 5)) * 1e-3),
    'bias': np.float32(rng.normal(size=4)),
    'dead': np.zeros(3, np.float32),
  }


def decoded(update, method, key=KEY, **fields):
  """As the round does it: under jit, where XLA may take liberties."""
  settings = config.CompressionConfig(method=method, **fields)
  return jax.device_get(
    jax.jit(lambda u, k: compression.compressed(u, settings, k))(update, key)
  )


def assert_identical(left, right):
  jax.tree.map(np.testing.assert_array_equal, left, right)


def awkward(dtype):
  """Numbers between two of `dtype`, ties, subnormals, the very large."""
  rng = np.random.default_rng(1)
  spread = rng.normal(size=4000) * 2.0 ** rng.integers(-30, 20, 4000)
  exact = np.float32(np.asarray(spread[np.abs(spread) < 3e4], dtype))
  ties = (exact[:-1] + exact[1:]) / 2
  return np.float32(np.concatenate([spread, exact, ties, [0.0, -0.0]]))


def test_float16_rounds_as_numpy_does_and_saturates():
  values = awkward(np.float16)
  limit = np.float32(np.finfo(np.float16).max)
  assert (np.abs(values) < 2.0**-14).sum() > 500
  assert (np.abs(values) > limit).any()
  wanted = np.float32(np.float16(np.clip(values, -limit, limit)))
  got = decoded({'a': values}, METHOD.FLOAT16)['a']
  np.testing.assert_array_equal(got, wanted)
  assert (got != values).mean() > 0.5


def test_bfloat16_rounds_to_nearest_even():
  values = awkward(ml_dtypes.bfloat16)
  got = decoded({'a': values}, METHOD.BFLOAT16)['a']
  np.testing.assert_array_equal(
    got, values.astype(ml_dtypes.bfloat16).astype(np.float32)
  )
  assert (got != values).mean() > 0.5


def test_int8_to_nearest_has_255_levels_for_each_array():
  update = tree()
  got = decoded(update, METHOD.INT8, rounding=config.Rounding.NEAREST)
  for name in ('kernel', 'bias'):
    scale = np.abs(update[name]).max() / np.float32(127)
    wanted = np.round(update[name] / scale) * scale
    np.testing.assert_allclose(got[name], wanted, rtol=1e-6)
  assert not got['dead'].any()


def test_stochastic_int8_is_a_neighbouring_level_and_unbiased():
  update = tree()
  keys = jax.random.split(KEY, 4000)
  settings = config.CompressionConfig(method=METHOD.INT8)
  each = jax.vmap(compression.compressed, (None, None, 0))
  draws = jax.device_get(each(jax.device_put(update), settings, keys))
  for name in ('kernel', 'bias'):
    scale = np.abs(update[name]).max() / 127
    levels = draws[name] / scale
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert np.abs(draws[name] - update[name]).max() < scale * 1.0001
    # A draw deviates by half a level at most.
    bias = draws[name].mean(0) - update[name]
    assert np.abs(bias).max() < 4.5 * scale / 2 / np.sqrt(len(keys))
  assert not draws['dead'].any()


def test_sign_is_scaled_by_the_mean_absolute_value():
  update = tree()
  got = decoded(update, METHOD.SIGN)
  wanted = jax.tree.map(lambda x: np.sign(x) * np.abs(x).mean(), update)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, wanted
  )


@pytest.mark.parametrize('fraction', [1e-4, 0.1, 0.5, 1.0])
def test_top_k_keeps_the_largest_of_the_whole_update(fraction):
  update = tree()
  sizes = np.sort(
    np.abs(np.concatenate([np.ravel(x) for x in jax.tree.leaves(update)]))
  )
  kept = max(1, round(fraction * len(sizes)))
  threshold = sizes[-kept]
  wanted = jax.tree.map(
    lambda x: np.where(np.abs(x) >= threshold, x, 0), update
  )
  got = decoded(update, METHOD.TOP_K, top_fraction=fraction)
  assert_identical(got, wanted)
  if fraction < 0.9:
    assert sum((x != 0).sum() for x in jax.tree.leaves(got)) == kept


def test_top_k_of_equals_keeps_the_first():
  update = {'a': np.float32([3, -2]), 'b': np.float32([2, 1, -2])}
  got = decoded(update, METHOD.TOP_K, top_fraction=0.6)
  np.testing.assert_array_equal(got['a'], [3, -2])
  np.testing.assert_array_equal(got['b'], [2, 0, 0])


@pytest.mark.parametrize('method', METHOD)
def test_zero_stays_zero(method):
  zero = jax.tree.map(np.zeros_like, tree())
  assert population.norm(decoded(zero, method)) == 0


@pytest.mark.parametrize('method', METHOD)
def test_a_client_of_a_block_is_coded_as_it_would_be_alone(method):
  updates = [tree(), jax.tree.map(lambda x: -3 * x[::-1], tree())]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *updates)
  keys = jax.random.split(KEY, 2)
  settings = config.CompressionConfig(method=method)
  block = quick.jit(
    jax.vmap(lambda u, k: compression.compressed(u, settings, k))
  )(stacked, keys)
  for place, update in enumerate(updates):
    alone = decoded(update, method, keys[place])
    got = jax.tree.map(lambda leaf: np.asarray(leaf[place]), block)  # noqa: B023
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, alone
    )


@pytest.mark.parametrize('method', METHOD)
@pytest.mark.parametrize('garbage', [np.nan, np.inf])
def test_what_is_not_finite_is_not_coded_away(method, garbage):
  """Else a client that is broken would not be left out; float16 saturates."""
  update = jax.tree.map(lambda x: np.full_like(x, garbage), tree())
  got = np.concatenate(list(map(np.ravel, decoded(update, method).values())))
  saturates = method is METHOD.FLOAT16 and np.isinf(garbage)
  assert np.isfinite(got).all() == saturates
