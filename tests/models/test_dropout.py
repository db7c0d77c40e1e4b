import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr.models import dropout


def dropped(values, rate=0.25, seed=0, train=True):
  rngs = {'dropout': jax.random.key(seed)}
  return dropout.Dropout(rate).apply({}, values, train, rngs=rngs)


def test_keeps_the_rate_and_the_mean():
  values = dropped(jnp.ones((4, 100, 50)))
  np.testing.assert_allclose(np.unique(values), [0, 1 / 0.75], rtol=1e-6)
  np.testing.assert_allclose(np.mean(values == 0), 0.25, atol=0.01)
  np.testing.assert_allclose(np.mean(values), 1.0, atol=0.01)


def test_more_frames_do_not_change_the_earlier_ones():
  values = jnp.ones((3, 7, 5))
  longer = jnp.pad(values, ((0, 0), (0, 6), (0, 0)))
  kept = dropped(longer)
  np.testing.assert_array_equal(kept[:, :7], dropped(values))
  np.testing.assert_array_equal(kept[:, 7:], 0)


def test_is_a_function_of_the_key():
  values = jnp.ones((3, 7, 5))
  np.testing.assert_array_equal(dropped(values), dropped(values))
  assert not np.array_equal(dropped(values, seed=1), dropped(values))


def test_utterances_frames_and_units_are_dropped_by_themselves():
  found = np.asarray(dropped(jnp.ones((4, 50, 40)), rate=0.5) > 0, float)
  # Independent entries agree half the time: 2000 pairs and more.
  for axis in range(3):
    left, right = (np.roll(found, by, axis) for by in (0, 1))
    np.testing.assert_allclose(np.mean(left == right), 0.5, atol=0.03)


def test_changes_nothing_outside_training_or_at_rate_zero():
  values = jnp.ones((3, 7, 5))
  assert dropped(values, train=False) is values
  assert dropped(values, rate=0.0) is values
