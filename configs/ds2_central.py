"""DeepSpeech 2 trained centrally: one client that holds everything.

  python -m fedjax_asr.main --config=configs/ds2_central.py[:variant]

The code path of federated training with one client, whose update is the
gradient of one batch (one local SGD step of rate 1): the server's Adam then is
ordinary minibatch Adam. Corpus, held-out speakers, model and number of
utterances processed are those of configs/ds2_fedavg.py:tiny, so that

  python -m fedjax_asr.main --config=configs/ds2_fedavg.py:tiny \\
    --workdir=runs/ds2_tiny
  python -m fedjax_asr.figures.comparison central.png \\
    runs/ds2_tiny runs/ds2_central

draws both on one plot.

Variants:
  (none)  the corpus of configs/ds2_fedavg.py:tiny.
            python -m fedjax_asr.main --config=configs/ds2_central.py
          2 CPU cores, 8.3 minutes (beside much other work), 2.7% WER on
          held-out speakers; three seeds on an H100: 2.0, 3.5, 4.4%. A bound on
          what federated training of as many utterances may reach.
  features  the manifest of configs/ds2_fedavg.py:features.
            python -m fedjax_asr.main --config=configs/ds2_central.py:features
          and --config.data.path=<its manifest>
          14.5% WER on held-out speakers of AN4, mean of three draws (12, 12
          and 19%; docs/recipes.md).
  tuning  other voices and sentences, on which the settings were chosen: 21,120
          utterances in batches of 8, 16 and 32.
            python benchmarks/sweep.py RESULT.json \\
              --config=configs/ds2_central.py:tuning
  smoke   spoken digits of 14 speakers, 6 steps: that everything works.
            python -m fedjax_asr.main --config=configs/ds2_central.py:smoke
"""

import itertools
from collections.abc import Iterator
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import (
  augmentation,
  corpora,
  features,
  federated,
  models,
)

# 110 rounds of 8 clients with 24 utterances.
_NUM_UTTERANCES = 21_120


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {
    '': _default,
    'features': _features,
    'tuning': _tuning,
    'smoke': _smoke,
  }
  return config_file.chosen(variant, variants)()


def sweep(variant: str) -> Iterator[dict[str, Any]]:
  """What the settings were chosen from; of the variant `tuning` alone."""
  if variant != 'tuning':
    raise ValueError(f'variant {variant!r} has no sweep; want tuning.')
  for batch_size, rate, clip_norm in itertools.product(
    (8, 16, 32), (1e-3, 2e-3, 4e-3, 8e-3), (1.0, 0.0)
  ):
    num_steps = _NUM_UTTERANCES // batch_size
    yield {
      'federated.client.batch_size': batch_size,
      'federated.num_rounds': num_steps,
      'evaluation.every_rounds': num_steps // 4,
      'checkpoint.every_rounds': num_steps // 4,
      'federated.server.warmup_rounds': num_steps // 20,
      'federated.server.learning_rate': rate,
      'federated.client.clip_norm': clip_norm,
    }


def _default() -> config.Config:
  return config.Config(
    name='ds2_central',
    data=corpora.commands(),
    model=models.ds2('tiny'),
    federated=federated.central(
      num_utterances=_NUM_UTTERANCES, batch_size=16, learning_rate=4e-3
    ),
    evaluation=config.EvaluationConfig(every_rounds=120),
    checkpoint=config.CheckpointConfig(every_rounds=120),
  )


def _features() -> config.Config:
  cfg = _default()
  cfg.data = corpora.precomputed()
  cfg.features = features.precomputed_mfcc()
  cfg.augment = augmentation.stretched_cepstra()
  cfg.model.ds2.conv_frequency_kernels = (13, 7)
  # An output frame of 20 ms: a spelled letter may be short.
  cfg.model.ds2.conv_time_strides = (2, 1)
  cfg.model.ds2.conv_channels = (16, 32)
  cfg.model.ds2.num_recurrent_layers = 3
  cfg.model.ds2.recurrent_size = 192
  cfg.model.ds2.dropout = 0.3
  cfg.federated = federated.central(
    num_utterances=96_000, batch_size=32, learning_rate=3e-3
  )
  cfg.federated.server.warmup_rounds = 100
  cfg.evaluation.every_rounds = 250
  cfg.checkpoint.every_rounds = 250
  return cfg


def _tuning() -> config.Config:
  cfg = _default()
  cfg.name = 'ds2_central_tuning'
  cfg.data.synthetic.seed = 1
  return cfg


def _smoke() -> config.Config:
  cfg = _default()
  cfg.data = corpora.digits()
  cfg.federated = federated.central(
    num_steps=6, batch_size=8, learning_rate=4e-3
  )
  cfg.federated.num_frame_buckets = 1
  cfg.federated.server.warmup_rounds = 0
  cfg.evaluation.every_rounds = 3
  cfg.checkpoint.every_rounds = 3
  return cfg
