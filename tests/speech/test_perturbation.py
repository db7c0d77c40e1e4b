import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import augment, perturbation

KEYS = jax.random.split(jax.random.key(0), 400)
LENGTH, BINS = 60, 20


def utterances(num_frames, seed=0):
  """With garbage in the padding, [batch, frames, bins]."""
  rng = np.random.default_rng(seed)
  features = rng.normal(size=(len(num_frames), LENGTH, BINS)).astype('float32')
  for row, count in zip(features, num_frames, strict=True):
    row[count:] = np.nan
  return jnp.asarray(features)


def stretched(features, num_frames, keys, most=0.25):
  run = jax.vmap(lambda *row: perturbation.stretched(*row, most))
  return jax.jit(run)(features, jnp.asarray(num_frames), keys)


@pytest.mark.parametrize('count', [1, 2, 3])
def test_speed_is_interpolation_between_frames(count):
  num_frames = [40, 60, 1][:count]
  features = utterances(num_frames)
  found, counts = stretched(features, num_frames, KEYS[:count])
  assert np.isfinite(np.asarray(found)).all()
  for row, was, now, original in zip(
    found, num_frames, counts, features, strict=True
  ):
    places = np.linspace(0, was - 1, int(now)) if now > 1 else [0]
    for column in range(BINS):
      wanted = np.interp(places, np.arange(was), original[:was, column])
      np.testing.assert_allclose(row[:now, column], wanted, atol=2e-5)
    assert not np.asarray(row[now:]).any()


def test_factors_are_uniform_and_end_at_the_padded_length():
  num_frames = [40] * 400
  _, counts = stretched(utterances(num_frames), num_frames, KEYS)
  assert counts.min() in (30, 31)
  assert counts.max() in (49, 50)
  # Of 30 to 50; the standard error is 0.3.
  assert abs(counts.mean() - 40) < 1.2
  _, counts = stretched(utterances([58] * 400), [58] * 400, KEYS)
  assert counts.max() == LENGTH


def test_no_utterance_stays_none():
  found, counts = stretched(utterances([0, 0]), [0, 0], KEYS[:2])
  assert not counts.any()
  assert not np.asarray(found).any()


def warp_of(key, most=0.2):
  """Where each bin comes from: that of a ramp is its place."""
  ramp = jnp.broadcast_to(jnp.arange(BINS, dtype=jnp.float32), (3, BINS))
  return jax.jit(perturbation.warped, static_argnums=2)(ramp, key, most)


def test_a_warp_is_linear_to_a_knee_and_keeps_both_ends():
  for key in KEYS[:50]:
    places = np.asarray(warp_of(key))
    assert (places == places[0]).all()
    steps = np.diff(places[0])
    slope = steps[0]
    assert 1 / 1.21 < slope < 1.21
    # Up to 85% of the axis, on either side of the warp.
    knee = int(0.85 * (BINS - 1) * min(1, 1 / slope))
    np.testing.assert_allclose(steps[: knee - 1], slope, rtol=1e-4)
    np.testing.assert_allclose(steps[knee + 1 :], steps[-1], rtol=1e-3)
    np.testing.assert_allclose(places[0, [0, -1]], [0, BINS - 1], atol=1e-4)
    assert (steps > 0).all()


def test_warps_go_up_as_often_as_down():
  slopes = np.array([float(warp_of(key)[0, 1]) for key in KEYS[:200]])
  assert abs((slopes > 1).mean() - 0.5) < 0.15
  assert slopes.max() > 1.15
  assert slopes.min() < 0.87


def test_warps_differ_between_utterances_and_leave_padding_unread():
  features = jnp.nan_to_num(utterances([30, 30]), nan=7.0)
  cfg = config.AugmentConfig(max_time_stretch=0.1, max_frequency_warp=0.1)
  run = jax.jit(
    lambda features: jax.vmap(
      lambda row, key: augment.augmented(row, jnp.asarray(30), key, cfg)
    )(features, KEYS[:2])
  )
  found, counts = run(features)
  garbage, again = run(features.at[:, 30:].set(1e30))
  np.testing.assert_array_equal(counts, again)
  for row, other, count in zip(found, garbage, counts, strict=True):
    np.testing.assert_array_equal(row[:count], other[:count])
  assert len(set(np.asarray(counts))) == 2
