"""What training changes of speech each time that it sees it.

Chosen by configs/recipes.py; docs/recipes.md says by how much each helps.
"""

from fedjax_asr import config


def cepstra() -> config.AugmentConfig:
  """Masks of 13 cepstra at 100 frames a second."""
  return config.AugmentConfig(
    num_time_masks=1,
    max_time_mask_frames=20,
    num_frequency_masks=1,
    max_frequency_mask_bins=3,
  )


def stretched_cepstra() -> config.AugmentConfig:
  """The same, and speech up to a tenth slower or faster."""
  augment = cepstra()
  augment.max_time_stretch = 0.1
  return augment


def strong_cepstra() -> config.AugmentConfig:
  """Of a model that would learn few speakers by heart."""
  return config.AugmentConfig(
    num_time_masks=2,
    max_time_mask_frames=30,
    num_frequency_masks=1,
    max_frequency_mask_bins=4,
    max_time_stretch=0.1,
  )


def voices() -> config.AugmentConfig:
  """Other voices than those of a handful of speakers, of log-mel features."""
  return config.AugmentConfig(max_time_stretch=0.2, max_frequency_warp=0.2)
