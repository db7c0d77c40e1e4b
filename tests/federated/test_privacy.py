"""Clipping and noise, against NumPy and against what they should amount to."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import compression, privacy

KEY = jax.random.key(0)


def tree(scale=1.0, size=7):
  rng = np.random.default_rng(0)
  return {
    'kernel': np.float32(scale * rng.normal(size=(size, 5))),
    'bias': np.float32(scale * rng.normal(size=3)),
  }


def numbers(update):
  return np.concatenate(
    [np.ravel(np.float64(leaf)) for leaf in jax.tree.leaves(update)]
  )


@pytest.mark.parametrize('clip_norm', [0.01, 1.0, 4.0])
def test_a_longer_update_is_scaled_to_the_clip_norm(clip_norm):
  update = tree()
  assert population.norm(update) > clip_norm
  got = numbers(privacy.clipped(update, clip_norm))
  whole = numbers(update)
  wanted = whole * clip_norm / np.sqrt((whole**2).sum())
  np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_a_shorter_update_is_not_scaled():
  update = tree(scale=1e-3)
  got = privacy.clipped(update, 1.0)
  jax.tree.map(np.testing.assert_array_equal, got, update)


def test_zero_is_clipped_to_zero():
  zero = jax.tree.map(np.zeros_like, tree())
  assert not numbers(privacy.clipped(zero, 1.0)).any()


def test_noise_has_the_standard_deviation_and_no_mean():
  update = tree(size=4000)
  noise = numbers(privacy.noised(update, 0.3, KEY)) - numbers(update)
  count = len(noise)
  assert abs(noise.mean()) < 4 * 0.3 / np.sqrt(count)
  assert abs(noise.std() / 0.3 - 1) < 4 / np.sqrt(2 * count)
  # Gaussian: the fourth moment is 3.
  assert abs((noise**4).mean() / 0.3**4 - 3) < 4 * np.sqrt(96 / count)


def test_arrays_and_keys_have_noise_of_their_own():
  zero = {'a': np.zeros(500, np.float32), 'b': np.zeros(500, np.float32)}
  one = privacy.noised(zero, 1.0, KEY)
  other = privacy.noised(zero, 1.0, jax.random.key(1))
  for left, right in ((one['a'], one['b']), (one['a'], other['a'])):
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.2


def test_client_noise_is_relative_to_the_clip_norm():
  settings = config.PrivacyConfig(clip_norm=0.5, local_noise_multiplier=0.2)
  update = tree(size=4000)
  got = numbers(privacy.of_client(update, settings, KEY))
  noise = got - numbers(privacy.clipped(update, 0.5))
  assert abs(noise.std() / 0.1 - 1) < 0.02


@pytest.mark.parametrize('weight', [1.0, 8.0])
def test_server_noise_falls_with_the_sum_of_weights(weight):
  settings = config.PrivacyConfig(clip_norm=0.5, central_noise_multiplier=2.0)
  mean = tree(size=4000)
  got = numbers(privacy.of_server(mean, weight, settings, KEY))
  noise = got - numbers(mean)
  assert abs(noise.std() / (2.0 * 0.5 / weight) - 1) < 0.02


def test_a_mean_over_nobody_stays_exactly_zero():
  settings = config.PrivacyConfig(clip_norm=0.5, central_noise_multiplier=2.0)
  zero = jax.tree.map(np.zeros_like, tree())
  got = privacy.of_server(zero, 0.0, settings, KEY)
  assert not numbers(got).any()


def test_nothing_is_done_where_nothing_is_configured():
  update, off = tree(), config.FederatedConfig()
  assert compression.compressed(update, off.compression, KEY) is update
  assert privacy.of_client(update, off.privacy, KEY) is update
  mean = privacy.of_server(update, 2.0, off.privacy, KEY)
  assert mean is update
