"""LibriSpeech as it is: its folders, and recipes for them.

Panayotov et al. 2015: 28,539 utterances of 251 speakers in train-clean-100,
281,241 of 2,338 in all training folders, 12.3 s on average and up to 35 s in
the evaluation folders, whose speakers are others.
"""

from fedjax_asr import config

HOURS_100 = ('train-clean-100',)
HOURS_960 = ('train-clean-100', 'train-clean-360', 'train-other-500')
HOURS_860 = HOURS_960[1:]

_NUM_UTTERANCES_100 = 28_539
# 360 s of 100 frames each.
_PUBLISHED_BATCH_FRAMES = 36_000


def data(splits: tuple[str, ...]) -> config.DataConfig:
  """Trained on all of these folders, evaluated on all of dev-clean."""
  return config.DataConfig(
    corpus=config.Corpus.LIBRISPEECH,
    path='LibriSpeech',
    splits=splits,
    heldout_path='LibriSpeech/dev-clean',
    heldout_utterance_fraction=0.0,
    max_seconds=36.0,
  )


def augment() -> config.AugmentConfig:
  """Masks of Park et al. 2019 (LibriSpeech double), 100 frames a second."""
  return config.AugmentConfig(
    num_time_masks=2,
    max_time_mask_frames=100,
    num_frequency_masks=2,
    max_frequency_mask_bins=27,
  )


def published_augment() -> config.AugmentConfig:
  """Of the published recipe (`published`)."""
  return config.AugmentConfig(
    num_time_masks=10,
    max_time_mask_frames=50,
    max_time_mask_fraction=0.1,
    num_frequency_masks=2,
    max_frequency_mask_bins=30,
  )


def federated(*, num_rounds: int, cohort_size: int) -> config.FederatedConfig:
  """32 utterances of each speaker in a round, clipped SGD; Adam at the server.

  4 local steps; the server's rate rises for 200 rounds, then falls to zero.
  """
  return config.FederatedConfig(
    num_rounds=num_rounds,
    cohort_size=cohort_size,
    block_size=8,
    client=config.ClientConfig(
      learning_rate=0.3, batch_size=8, max_utterances=32, clip_norm=1.0
    ),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.ADAM,
      learning_rate=1e-3,
      schedule=config.Schedule.LINEAR,
      warmup_rounds=200,
      momentum=0.9,
      beta2=0.99,
    ),
  )


def central(*, num_epochs: int, batch_size: int = 32) -> config.FederatedConfig:
  """Adam on batches of one client that has all of train-clean-100.

  A round is a step, as in configs/ds2_central.py; how many there are follows
  from the batches, so that other ones train for as many epochs.
  """
  return config.FederatedConfig(
    num_rounds=0,
    num_utterances=num_epochs * _NUM_UTTERANCES_100,
    partition=config.Partition.IID,
    num_clients=1,
    cohort_size=1,
    block_size=1,
    client=config.ClientConfig(
      learning_rate=1.0, batch_size=batch_size, local_steps=1, clip_norm=1.0
    ),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.ADAM,
      learning_rate=5e-4,
      schedule=config.Schedule.LINEAR,
      warmup_rounds=1000,
      momentum=0.9,
      beta2=0.99,
    ),
  )


def published() -> config.FederatedConfig:
  """The recipe of Pelikan et al. 2023 (arXiv 2310.00098), without privacy.

  As github.com/apple/ml-pfl4asr has it in experiments/configs/fl_ls.yaml and
  the defaults of the classes that read it: 16 speakers (8 to 64 with the same
  numbers), each 10 epochs of SGD on batches of 360 s with their padding,
  gradients clipped at 1; the mean of the differences, unweighted, to LAMB,
  whose rate stays for 1,000 rounds and then falls. Here a batch has 24
  utterances at most, there as many as fit; sorted by length here, there of
  like length in random order.
  """
  return config.FederatedConfig(
    num_rounds=2000,
    cohort_size=16,
    block_size=4,
    weighting=config.Weighting.UNIFORM,
    client=config.ClientConfig(
      learning_rate=0.4,
      batch_size=24,
      batch_frames=_PUBLISHED_BATCH_FRAMES,
      local_epochs=10,
      clip_norm=1.0,
    ),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.LAMB,
      learning_rate=0.006,
      schedule=config.Schedule.EXPONENTIAL,
      decay=config.DecayConfig(begin=1000, factor=0.6, every=500),
      momentum=0.9,
      beta2=0.999,
      epsilon=1e-6,
    ),
  )


def published_from_seed(seed_model: str) -> config.FederatedConfig:
  """As `published`, from a model of train-clean-100: fl_ls_100_to_ls_860.yaml.

  `seed_model`: its run directory.
  """
  recipe = published()
  recipe.init_from = seed_model
  recipe.client.learning_rate = 0.2
  recipe.server.learning_rate = 0.003
  recipe.server.decay.every = 250
  return recipe
