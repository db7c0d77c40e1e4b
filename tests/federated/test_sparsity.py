"""Any numbers of an update: how many, which, and what they come to."""

import jax
import numpy as np
import pytest

from fedjax_asr.federated import sparsity

NUM_DRAWS = 4000
# Of 23 numbers, 7 are sent.
FRACTION, SIZE, SENT = 0.3, 23, 7


def update():
  rng = np.random.default_rng(0)
  return {
    'a': np.float32(rng.normal(size=(5, 4))),
    'b': np.float32(rng.normal(size=3)),
  }


def flat(tree):
  leaves = [np.asarray(tree[name]) for name in ('a', 'b')]
  return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], 1)


@pytest.fixture(scope='module')
def draws():
  keys = jax.random.split(jax.random.key(2), NUM_DRAWS)

  def one(key):
    chosen = sparsity.random(update(), FRACTION, key, is_scaled=True)
    return chosen, sparsity.filled(chosen)

  return jax.device_get(jax.jit(jax.vmap(one))(keys))


def test_exactly_so_many_are_sent_and_each_as_often(draws):
  chosen, _ = draws
  is_sent = flat(chosen.is_sent)
  assert (is_sent.sum(1) == SENT).all()
  share = SENT / SIZE
  deviation = np.sqrt(share * (1 - share) / NUM_DRAWS)
  assert (np.abs(is_sent.mean(0) - share) < 4.5 * deviation).all()
  # Independent of one another, but that their number is fixed.
  pairs = (is_sent[:, 0] & is_sent[:, -1]).mean()
  wanted = share * (SENT - 1) / (SIZE - 1)
  assert abs(pairs - wanted) < 4.5 * np.sqrt(wanted / NUM_DRAWS)


def test_scaled_it_is_unbiased(draws):
  _, filled = draws
  found = flat(filled)
  x = np.concatenate([np.ravel(update()['a']), update()['b']])
  deviation = found.std(0) / np.sqrt(NUM_DRAWS)
  assert (np.abs(found.mean(0) - x) < 4.5 * deviation).all()
  # (n / k - 1) |x|^2, which is what such a code loses.
  error = np.square(found - x).sum(1).mean()
  wanted = (SIZE / SENT - 1) * np.square(x).sum()
  assert error == pytest.approx(wanted, rel=0.05)


def test_without_a_scale_numbers_are_as_they_were():
  key = jax.random.key(0)
  chosen = sparsity.random(update(), FRACTION, key, is_scaled=False)
  got = sparsity.filled(chosen)
  for name, leaf in update().items():
    is_sent = np.asarray(chosen.is_sent[name])
    np.testing.assert_array_equal(got[name], np.where(is_sent, leaf, 0))


def test_the_seed_is_all_that_the_receiver_needs():
  chosen = sparsity.random(
    update(), FRACTION, jax.random.key(0), is_scaled=True
  )
  like = jax.eval_shape(lambda: update())
  again = sparsity.drawn(chosen.seed, like, FRACTION)
  jax.tree.map(np.testing.assert_array_equal, again, chosen.is_sent)
  other = sparsity.random(update(), FRACTION, jax.random.key(1), is_scaled=True)
  assert (np.asarray(other.seed) != np.asarray(chosen.seed)).any()


@pytest.mark.parametrize('fraction', [0.001, 0.5, 1.0])
def test_of_many_equals_the_first_are_sent(fraction):
  equal = {'a': np.ones(600, np.float32), 'b': np.ones(400, np.float32)}
  chosen = sparsity.top(equal, fraction)
  is_sent = np.concatenate([chosen.is_sent['a'], chosen.is_sent['b']])
  wanted = max(1, round(fraction * 1000))
  np.testing.assert_array_equal(is_sent, np.arange(1000) < wanted)
