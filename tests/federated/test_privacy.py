"""Clipping and noise, against NumPy and against what they should amount to."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import algorithm, channel, channels, clipping, noise

KEY = jax.random.key(0)
SENDER = channel.Sender(KEY, KEY)


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
  got = numbers(clipping.clipped(update, clip_norm))
  whole = numbers(update)
  wanted = whole * clip_norm / np.sqrt((whole**2).sum())
  np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_a_shorter_update_is_not_scaled():
  update = tree(scale=1e-3)
  got = clipping.clipped(update, 1.0)
  jax.tree.map(np.testing.assert_array_equal, got, update)


def test_zero_is_clipped_to_zero():
  zero = jax.tree.map(np.zeros_like, tree())
  assert not numbers(clipping.clipped(zero, 1.0)).any()


def test_noise_has_the_standard_deviation_and_no_mean():
  update = tree(size=4000)
  drawn = numbers(noise.noised(update, 0.3, KEY)) - numbers(update)
  count = len(drawn)
  assert abs(drawn.mean()) < 4 * 0.3 / np.sqrt(count)
  assert abs(drawn.std() / 0.3 - 1) < 4 / np.sqrt(2 * count)
  # Gaussian: the fourth moment is 3.
  assert abs((drawn**4).mean() / 0.3**4 - 3) < 4 * np.sqrt(96 / count)


def test_arrays_and_keys_have_noise_of_their_own():
  zero = {'a': np.zeros(500, np.float32), 'b': np.zeros(500, np.float32)}
  one = noise.noised(zero, 1.0, KEY)
  other = noise.noised(zero, 1.0, jax.random.key(1))
  for left, right in ((one['a'], one['b']), (one['a'], other['a'])):
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.2


def message(update, weight=1.0):
  return algorithm.Message(algorithm.Update(update, {}), (), np.float32(weight))


def through(settings, update):
  """What the server decodes, and whether it was clipped."""
  line = channels.make(config.FederatedConfig(privacy=settings))
  received, _, was_clipped = line.client(message(update), (), SENDER)
  return received.update.params, bool(was_clipped)


def test_client_noise_is_relative_to_the_clip_norm():
  settings = config.PrivacyConfig(clip_norm=0.5, local_noise_multiplier=0.2)
  update = tree(size=4000)
  got, was_clipped = through(settings, update)
  drawn = numbers(got) - numbers(clipping.clipped(update, 0.5))
  assert abs(drawn.std() / 0.1 - 1) < 0.02
  assert was_clipped


def test_a_short_update_is_not_said_to_be_clipped():
  settings = config.PrivacyConfig(clip_norm=1.0)
  got, was_clipped = through(settings, tree(scale=1e-3))
  jax.tree.map(np.testing.assert_array_equal, got, tree(scale=1e-3))
  assert not was_clipped


def noised_sum(update, weight):
  settings = config.PrivacyConfig(clip_norm=0.5, central_noise_multiplier=2.0)
  line = channels.make(config.FederatedConfig(privacy=settings, cohort_size=4))
  sums = algorithm.Sums(*message(update, weight))
  sums, _ = line.server(sums, (), KEY)
  assert sums.weight == 4
  return numbers(sums.update.params)


@pytest.mark.parametrize('weight', [1.0, 8.0])
def test_server_noise_is_on_the_sum_whatever_it_weighs(weight):
  update = tree(size=4000)
  drawn = noised_sum(update, weight) - numbers(update)
  assert abs(drawn.std() / (2.0 * 0.5) - 1) < 0.02


def test_a_sum_over_nobody_is_noised_too():
  """Else it would be known that nobody came."""
  zero = jax.tree.map(np.zeros_like, tree(size=4000))
  assert abs(noised_sum(zero, 0.0).std() / (2.0 * 0.5) - 1) < 0.02


def test_nothing_is_done_where_nothing_is_configured():
  update, off = tree(), config.FederatedConfig()
  line = channels.make(off)
  sent = message(update)
  received, memory, was_clipped = line.client(sent, (), SENDER)
  assert received is sent
  assert memory == ()
  assert not was_clipped
  sums = algorithm.Sums(*sent)
  assert line.server(sums, (), KEY) == (sums, ())
