"""Running normalisation against sums over the past, one frame at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import features, jax_features, running

RUNNING = config.Normalization.RUNNING


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """Memory fades within the test's frames."""
  monkeypatch.setattr(running, 'PRIOR_FRAMES', 5)
  monkeypatch.setattr(running, 'MEMORY_FRAMES', 20)


def speech(num_frames=70, seed=0):
  rng = np.random.default_rng(seed)
  values = rng.normal(-6, 3, (num_frames, 4)) + np.arange(num_frames)[:, None]
  values[:, 2] = -11.5
  return values.astype(np.float32)


STATISTICS = features.Statistics(
  mean=np.float32([-5, 0, -11.5, 4]), std=np.float32([2, 1, 0, 3])
)


def slow(values):
  """By the weight that each past frame, and the prior, has at each frame."""
  outputs = []
  for now in range(len(values)):
    # The prior is one entry, with a variance of its own.
    weights = [float(running.PRIOR_FRAMES)]
    for _ in range(now + 1):
      total = sum(weights)
      if total + 1 > running.MEMORY_FRAMES:
        keep = (running.MEMORY_FRAMES - 1) / total
        weights = [each * keep for each in weights]
      weights.append(1.0)
    weights = np.array(weights)[:, None] / sum(weights)
    past = np.vstack([STATISTICS.mean, values[: now + 1]]).astype(np.float64)
    mean = (weights * past).sum(0)
    variance = (weights * (past - mean) ** 2).sum(0)
    variance += weights[0] * STATISTICS.std.astype(np.float64) ** 2
    scale = np.maximum(np.sqrt(variance), features.MIN_STD)
    outputs.append((values[now] - mean) / scale)
  return np.array(outputs)


@pytest.mark.parametrize('num_frames', [1, 14, 15, 16, 70])
def test_it_is_the_slow_one(num_frames):
  values = speech(num_frames)
  got = features.normalize(values, RUNNING, STATISTICS)
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, slow(values), rtol=1e-5, atol=1e-5)


def test_the_twin_is_the_slow_one_under_jit_whatever_the_padding():
  values = speech()
  padded = np.full((90, 4), np.nan, np.float32)
  padded[:70] = values

  @jax.jit
  def twin(values, num_frames):
    return jax_features.normalize(values, num_frames, RUNNING, STATISTICS)

  got = twin(padded, 70)
  np.testing.assert_allclose(got[:70], slow(values), rtol=1e-3, atol=1e-3)
  np.testing.assert_array_equal(got[70:], 0)


def test_gradients_of_the_twin_are_finite_whatever_the_padding():
  padded = jnp.asarray(speech()).at[40:].set(jnp.nan)

  @jax.jit
  @jax.grad
  def gradient(values):
    normal = jax_features.normalize(values, 40, RUNNING, STATISTICS)
    return (normal**3).sum()

  slopes = gradient(padded)
  assert jnp.isfinite(slopes).all()
  np.testing.assert_array_equal(slopes[40:], 0)


@pytest.mark.parametrize('sizes', [[1] * 70, [7] * 10, [15, 1, 54], [0, 70]])
def test_in_pieces_it_is_the_same(sizes):
  values, moments = speech(), running.start(*STATISTICS)
  pieces = []
  for piece in np.split(values, np.cumsum(sizes)[:-1]):
    normal, moments = features.continued(piece, moments)
    pieces.append(normal)
  whole = features.normalize(values, RUNNING, STATISTICS)
  np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_the_future_changes_nothing():
  values, changed = speech(), speech()
  changed[30:] = 100.0
  got, other = (
    features.normalize(each, RUNNING, STATISTICS) for each in (values, changed)
  )
  np.testing.assert_array_equal(got[:30], other[:30])


def test_another_level_is_forgotten():
  """A microphone that is twice as loud: the offset fades."""
  values = np.concatenate([speech(100) * 0, speech(400) * 0 + 50.0])
  values += np.random.default_rng(1).normal(size=values.shape)
  normal = features.normalize(values.astype(np.float32), RUNNING, STATISTICS)
  assert np.abs(normal[-100:].mean(0)).max() < 0.5
  assert normal[100].min() > 2


def test_statistics_are_wanted():
  with pytest.raises(ValueError, match='want those of the corpus'):
    features.normalize(speech(), RUNNING)
