import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.matching import gradient_distance

KINDS = list(config.Distance)
SHAPES = {'a/kernel': (3, 4), 'a/bias': (4,), 'b/kernel': (4, 2)}


def tree(seed):
  rng = np.random.default_rng(seed)
  return {
    name: rng.standard_normal(shape).astype(np.float32)
    for name, shape in SHAPES.items()
  }


def by_hand(kind, got, want):
  g = np.concatenate([np.ravel(got[name]) for name in want]).astype(float)
  t = np.concatenate([np.ravel(want[name]) for name in want]).astype(float)
  cosine = 1 - g @ t / np.linalg.norm(g) / np.linalg.norm(t)
  l2 = np.sum((g - t) ** 2) / np.sum(t**2)
  l1 = np.abs(g - t).sum() / np.abs(t).sum()
  return {'cosine': cosine, 'l2': l2, 'l1': l1, 'cosine_l2': cosine + l2}[kind]


def distance(kind, got, want, top_fraction=1.0, per_layer=False):
  target = gradient_distance.target(want, top_fraction)
  got = jax.tree.map(jnp.asarray, got)
  return gradient_distance.distance(kind, got, target, per_layer=per_layer)


@pytest.mark.parametrize('kind', KINDS)
def test_distances_are_those_of_numpy(kind):
  got, want = tree(0), tree(1)
  np.testing.assert_allclose(
    distance(kind, got, want), by_hand(kind, got, want), rtol=1e-5
  )
  assert float(distance(kind, want, want)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('kind', KINDS)
def test_per_layer_is_the_mean_over_parameters_that_have_a_target(kind):
  got, want = tree(0), tree(1)
  # A zero but for rounding.
  want['a/bias'] = np.full(4, 1e-8, np.float32)
  wanted = np.mean(
    [
      by_hand(kind, {name: got[name]}, {name: want[name]})
      for name in ('a/kernel', 'b/kernel')
    ]
  )
  np.testing.assert_allclose(
    distance(kind, got, want, per_layer=True), wanted, rtol=1e-5
  )


@pytest.mark.parametrize('kind', KINDS)
def test_the_top_fraction_counts_over_all_layers_together(kind):
  got, want = tree(0), tree(1)
  # 24 entries; the largest 6 of them.
  flat = np.concatenate([np.abs(leaf).ravel() for leaf in want.values()])
  least = np.sort(flat)[-6]
  kept = {name: np.abs(leaf) >= least for name, leaf in want.items()}
  assert sum(mask.sum() for mask in kept.values()) == 6
  wanted = by_hand(
    kind,
    {name: got[name] * kept[name] for name in kept},
    {name: want[name] * kept[name] for name in kept},
  )
  np.testing.assert_allclose(
    distance(kind, got, want, top_fraction=0.25), wanted, rtol=1e-5
  )


@pytest.mark.parametrize('per_layer', [False, True])
@pytest.mark.parametrize('kind', KINDS)
def test_the_gradient_is_finite_at_an_update_of_zeros(kind, per_layer):
  want = tree(1)
  want['a/bias'] = np.zeros(4, np.float32)
  zeros = jax.tree.map(jnp.zeros_like, want)
  run = functools.partial(distance, kind, want=want, per_layer=per_layer)
  value, gradient = jax.value_and_grad(lambda got: run(got))(zeros)
  assert np.isfinite(value)
  assert all(np.isfinite(leaf).all() for leaf in gradient.values())


def test_distances_hold_for_updates_of_any_size():
  got, want = tree(0), tree(1)
  for scale in (1e-12, 1e6):
    scaled = [
      jax.tree.map(lambda leaf: np.float32(scale) * leaf, item)  # noqa: B023
      for item in (got, want)
    ]
    for kind in KINDS:
      np.testing.assert_allclose(
        distance(kind, *scaled), by_hand(kind, got, want), rtol=1e-4
      )
