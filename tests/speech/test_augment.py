import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import augment

KEYS = jax.random.split(jax.random.key(0), 2_000)


def masked(cfg, num_frames, length=50, num_features=20, keys=KEYS):
  """Where each key's masks fall, [keys, frames, features]."""
  features = jnp.ones((length, num_features))
  augmented = jax.jit(
    jax.vmap(lambda key: augment.spec_augment(features, num_frames, key, cfg))
  )(keys)
  assert set(np.unique(augmented)) <= {0.0, 1.0}
  return np.asarray(augmented == 0)


def runs(mask):
  """Widths of the one stretch that is masked, [keys]; asserts there is one."""
  edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(int), axis=1)
  assert ((edges == 1).sum(axis=1) <= 1).all()
  return mask.sum(axis=1)


def test_no_masks_change_nothing():
  features = jax.random.normal(KEYS[0], (50, 20))
  augmented = augment.spec_augment(
    features, 30, KEYS[1], config.AugmentConfig()
  )
  np.testing.assert_array_equal(augmented, features)


def test_a_time_mask_is_one_stretch_of_whole_frames():
  cfg = config.AugmentConfig(
    num_time_masks=1, max_time_mask_frames=7, max_time_mask_fraction=1.0
  )
  mask = masked(cfg, num_frames=50)
  assert (mask.any(axis=2) == mask.all(axis=2)).all()
  widths = runs(mask.any(axis=2))
  # Uniform over 0 to 7: each about 250 times of 2000.
  counts = np.bincount(widths, minlength=8)
  assert len(counts) == 8
  assert (abs(counts - 250) < 75).all()


def test_a_frequency_mask_is_one_band_of_all_frames():
  cfg = config.AugmentConfig(num_frequency_masks=1, max_frequency_mask_bins=4)
  mask = masked(cfg, num_frames=50)
  assert (mask.any(axis=1) == mask.all(axis=1)).all()
  widths = runs(mask.any(axis=1))
  assert set(widths) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize('num_frames', [0, 1, 13, 50])
def test_masks_never_touch_padding(num_frames):
  cfg = config.AugmentConfig(
    num_time_masks=3,
    max_time_mask_frames=50,
    max_time_mask_fraction=1.0,
    num_frequency_masks=2,
  )
  mask = masked(cfg, num_frames=jnp.asarray(num_frames))
  assert not mask[:, num_frames:].any()
  assert mask[:, :num_frames].any() == (num_frames > 0)


def test_masks_reach_both_ends():
  cfg = config.AugmentConfig(
    num_time_masks=1,
    max_time_mask_frames=5,
    max_time_mask_fraction=1.0,
    num_frequency_masks=1,
    max_frequency_mask_bins=3,
  )
  mask = masked(cfg, num_frames=23)
  frames, bands = mask.all(axis=2), mask[:, :23].all(axis=1)
  assert frames[:, 0].any()
  assert frames[:, 22].any()
  assert bands[:, 0].any()
  assert bands[:, -1].any()


def test_a_time_mask_covers_at_most_its_fraction():
  cfg = config.AugmentConfig(
    num_time_masks=1, max_time_mask_frames=40, max_time_mask_fraction=0.25
  )
  widths = runs(masked(cfg, num_frames=22).any(axis=2))
  assert widths.max() == 5


def test_a_band_is_never_wider_than_the_features():
  cfg = config.AugmentConfig(num_frequency_masks=1, max_frequency_mask_bins=99)
  widths = runs(masked(cfg, num_frames=50, num_features=3).any(axis=1))
  assert set(widths) == {0, 1, 2, 3}


def test_several_masks_are_independent():
  cfg = config.AugmentConfig(
    num_time_masks=2, max_time_mask_frames=5, max_time_mask_fraction=1.0
  )
  widths = masked(cfg, num_frames=50).any(axis=2).sum(axis=1)
  assert widths.max() == 10


def test_width_says_nothing_about_start():
  cfg = config.AugmentConfig(
    num_time_masks=1, max_time_mask_frames=7, max_time_mask_fraction=1.0
  )
  frames = masked(cfg, num_frames=50).any(axis=2)
  starts = frames[frames.sum(axis=1) == 1].argmax(axis=1)
  assert len(np.unique(starts)) >= 45  # Of 50, from about 250 masks.


def test_the_key_decides():
  cfg = config.AugmentConfig(num_time_masks=2, num_frequency_masks=2)
  first, again, other = masked(cfg, 50, keys=KEYS[np.array([0, 0, 1])])
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()


def test_what_is_not_masked_is_unchanged_and_keeps_its_type():
  cfg = config.AugmentConfig(num_time_masks=2, num_frequency_masks=2)
  features = jax.random.normal(KEYS[0], (50, 20), jnp.bfloat16)
  augmented = augment.spec_augment(features, 40, KEYS[1], cfg)
  assert augmented.dtype == jnp.bfloat16
  same = (augmented == features) | (augmented == 0)
  assert same.all()
