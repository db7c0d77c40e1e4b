"""DeepSpeech 1 trained by FedAvg with an adaptive server (Reddi et al. 2021).

  python -m fedjax_asr.main --config=configs/ds1_fedavg.py[:variant]

Variants, with what benchmarks/results/ has of them:
  (none)  spoken commands, synthesised, 120 speakers, 12 of them held out with
          sentences of their own; `tiny` model on log-mel features.
            python -m fedjax_asr.main --config=configs/ds1_fedavg.py
          2 CPU cores, 8.8 minutes (beside other work), 9.4% WER on held-out
          speakers.
  smoke   spoken digits of 14 speakers, 6 rounds: that everything works.
            python -m fedjax_asr.main --config=configs/ds1_fedavg.py:smoke
          2 CPU cores, half a minute; the WER stays at 100%.
  gpu     256 clients a round of 320, layers of 1024, bf16 products.
            python -m fedjax_asr.main --config=configs/ds1_fedavg.py:gpu
          1 H200, 1.63 s a round; 41% WER with num_rounds=40. Not yet run for
          its 100 rounds.
  fsdd    the Free Spoken Digit Dataset: 5 speakers train, 1 is held out, and
          a tenth of the others' utterances; each speaker is a client.
            python -m fedjax_asr.main --config=configs/ds1_fedavg.py:fsdd
          and --config.data.path=<its folder `recordings`>
          2 CPU cores, 1.0 minutes, 36.4% WER on the
          held-out speaker, 6.8% on held-out utterances; not tuned.
  features  13 MFCC at 100 frames a second that somebody else computed, 74
          speakers who spell and say short sentences; 8 are held out. A
          stand-in for such a corpus: benchmarks/feature_manifest.py.
            python -m fedjax_asr.main --config=configs/ds1_fedavg.py:features
          and --config.data.path=<its manifest>
          17.3% WER on ten speakers of AN4 that no setting was chosen on, mean
          of three seeds (17 to 18%; docs/recipes.md).
  privacy  the model of Dang et al. 2021 (47.2 M) on 26 MFCC, 100 rounds, of
          which every 25th is kept: for configs/attack.py.
            python -m fedjax_asr.main --config=configs/ds1_fedavg.py:privacy
          1 H200.
"""

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


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {
    '': _default,
    'smoke': _smoke,
    'gpu': _gpu,
    'fsdd': _fsdd,
    'features': _features,
    'privacy': _privacy,
  }
  return config_file.chosen(variant, variants)()


def sweep() -> Iterator[dict[str, Any]]:
  """The two recurrences of the literature, with and without dropout."""
  for cell, bidirectional in (('rnn', True), ('lstm', False)):
    for dropout in (0.0, 0.1):
      yield {
        'model.ds1.cell': cell,
        'model.ds1.bidirectional': bidirectional,
        'model.ds1.dropout': dropout,
      }


def _default() -> config.Config:
  return config.Config(
    name='ds1_fedavg',
    data=corpora.commands(),
    model=models.ds1('tiny'),
    federated=federated.fedavg(num_rounds=160, cohort_size=0, block_size=2),
  )


def _smoke() -> config.Config:
  cfg = _default()
  cfg.data = corpora.digits()
  cfg.federated = federated.smoke()
  cfg.evaluation.every_rounds = 3
  cfg.checkpoint.every_rounds = 3
  return cfg


def _gpu() -> config.Config:
  cfg = _default()
  cfg.data = corpora.commands(num_speakers=336, num_heldout_speakers=16)
  cfg.model.ds1.dense_sizes = (1024, 1024, 1024)
  cfg.model.ds1.recurrent_size = 1024
  cfg.model.ds1.final_size = 1024
  cfg.model.ds1.dtype = config.Dtype.BFLOAT16
  cfg.federated = federated.fedavg(
    num_rounds=100, cohort_size=256, block_size=32, server_learning_rate=1.5e-3
  )
  return cfg


def _fsdd() -> config.Config:
  cfg = _default()
  cfg.data = corpora.fsdd()
  cfg.features = features.fsdd()
  cfg.federated = federated.fedavg(
    num_rounds=100, cohort_size=5, block_size=5, max_utterances=40
  )
  return cfg


def _features() -> config.Config:
  cfg = _default()
  cfg.data = corpora.precomputed()
  cfg.features = features.precomputed_mfcc()
  # 0.19 s of context: most of a spelled letter.
  cfg.model.ds1.context_frames = 9
  cfg.model.ds1.cell = config.Cell.LSTM
  cfg.model.ds1.dropout = 0.1
  cfg.augment = augmentation.cepstra()
  cfg.federated = federated.fedavg(
    num_utterances=60_000,
    cohort_size=0,
    block_size=2,
  )
  cfg.evaluation.every_rounds = 50
  cfg.checkpoint.every_rounds = 50
  return cfg


def _privacy() -> config.Config:
  cfg = _default()
  cfg.features = features.mfcc()
  cfg.model = models.ds1('privacy')
  cfg.federated = federated.fedavg(
    num_rounds=100, cohort_size=8, block_size=2, server_learning_rate=1e-3
  )
  cfg.checkpoint.every_rounds = 25
  cfg.checkpoint.keep_every = 25
  cfg.evaluation.every_rounds = 25
  return cfg
