"""DeepSpeech 2 trained centrally: one client that holds everything.

  python -m fedjax_asr.main --config=configs/ds2_central.py[:variant]

The code path of federated training with one client, whose update is the
gradient of one batch (one local SGD step of rate 1): the server's Adam then is
ordinary minibatch Adam. Corpus, held-out speakers, model and number of
utterances processed are those of configs/ds2_fedavg.py, so that

  python -m fedjax_asr.figures.comparison central.png \\
    runs/ds2_fedavg runs/ds2_central

draws both on one plot.

Variants:
  (none)  the corpus of configs/ds2_fedavg.py.
            python -m fedjax_asr.main --config=configs/ds2_central.py
          2 CPU cores, 7.7 minutes (beside other work), 13.3% WER on held-out
          speakers. Batch size and learning rate are a first choice, so this
          is no bound on what central training reaches.
  smoke   spoken digits of 14 speakers, 6 steps: that everything works.
            python -m fedjax_asr.main --config=configs/ds2_central.py:smoke
"""

from fedjax_asr import config
from fedjax_asr.models import presets


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {'': _default, 'smoke': _smoke}
  if variant not in variants:
    names = ', '.join(repr(name) for name in variants)
    raise ValueError(f'variant {variant!r}; want one of {names}.')
  return variants[variant]()


def _default() -> config.Config:
  return config.Config(
    name='ds2_central',
    data=config.DataConfig(
      disjoint_transcripts=True,
      synthetic=config.SyntheticConfig(
        num_speakers=120, utterances_per_speaker=28
      ),
    ),
    model=presets.ds2('tiny'),
    # 110 rounds of 8 clients with 24 utterances are 1320 batches of 16.
    federated=_central(num_steps=1320, batch_size=16),
    evaluation=config.EvaluationConfig(every_rounds=120),
    checkpoint=config.CheckpointConfig(every_rounds=120),
  )


def _smoke() -> config.Config:
  cfg = _default()
  cfg.data.num_heldout_speakers = 2
  cfg.data.synthetic = config.SyntheticConfig(
    grammar=config.Grammar.DIGITS, num_speakers=14, utterances_per_speaker=8
  )
  cfg.federated = _central(num_steps=6, batch_size=8)
  cfg.federated.num_frame_buckets = 1
  cfg.federated.server.warmup_rounds = 0
  cfg.evaluation.every_rounds = 3
  cfg.checkpoint.every_rounds = 3
  return cfg


def _central(num_steps: int, batch_size: int) -> config.FederatedConfig:
  """Adam on gradients of batches drawn from one client."""
  return config.FederatedConfig(
    num_rounds=num_steps,
    partition=config.Partition.IID,
    num_clients=1,
    cohort_size=1,
    block_size=1,
    client=config.ClientConfig(
      learning_rate=1.0, batch_size=batch_size, local_steps=1, clip_norm=1.0
    ),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.ADAM,
      learning_rate=2e-3,
      schedule=config.Schedule.LINEAR,
      warmup_rounds=60,
      momentum=0.9,
      beta2=0.99,
    ),
  )
