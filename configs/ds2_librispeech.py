"""DeepSpeech 2 on LibriSpeech as it is: its folders, dev-clean held out.

  python -m fedjax_asr.main --config=configs/ds2_librispeech.py[:variant]

from the folder that `LibriSpeech/` was unpacked in, or, wherever that is, with

  --config.data.path=/data/LibriSpeech \\
  --config.data.heldout_path=/data/LibriSpeech/dev-clean

A client is a speaker. WER on dev-clean is evaluated as training goes; of a
finished run on test-clean (and so on dev-other and test-other):

  python -m fedjax_asr.main --config=configs/evaluate.py \\
    --config.evaluate.run=runs/ds2_librispeech_federated_100 \\
    --config.evaluate.subset=corpus --config.data.corpus=librispeech \\
    --config.data.path=/data/LibriSpeech/test-clean \\
    --config.data.max_seconds=36

docs/librispeech.md has what disk and memory a variant needs, and the command
that measures its rounds an hour. The settings of our own variants are first
choices: nobody has tuned them on the whole corpus, and none of these trainings
has been run to its end yet.
Rounds an hour on one H200 (benchmarks/results/librispeech_rounds_h200.json):
federated_100 835, federated_960 420, published with 8 clients 118.

Variants; all but the published ones are our own choice, `large` convolutions
and GRUs in bfloat16 with SpecAugment:
  (none)  as federated_100.
  federated_100  train-clean-100, 251 speakers; 32 of them a round, 3,000
          rounds of 32 utterances each: 108 passes over the corpus.
            python -m fedjax_asr.main \\
              --config=configs/ds2_librispeech.py:federated_100
  central_100  train-clean-100 as one client, 60 epochs of Adam in batches of
          32: what federated training is compared with, and a seed model.
            python -m fedjax_asr.main \\
              --config=configs/ds2_librispeech.py:central_100
  federated_960  all training folders, 2,338 speakers; 64 of them a round,
          6,000 rounds of 32 utterances each: 44 passes over the corpus.
            python -m fedjax_asr.main \\
              --config=configs/ds2_librispeech.py:federated_960
  published  the recipe of Pelikan et al. 2023 (arXiv 2310.00098; github.com/
          apple/ml-pfl4asr, fl_ls.yaml) for all training folders, with their
          SpecAugment, from fresh parameters as there: 16 speakers a round (8
          to 64 with the same numbers: --config.federated.cohort_size=64), 10
          local epochs of SGD at 0.4 in batches of 360 s, gradients clipped at
          1, LAMB at 0.006, times 0.6 every 500 rounds from round 1,000 on,
          2,000 rounds. Their model is a transformer of 36 blocks; here it is
          the one of the other variants.
            python -m fedjax_asr.main \\
              --config=configs/ds2_librispeech.py:published
  published_from_seed  the same from a model of train-clean-100, trained on the
          other two folders (fl_ls_100_to_ls_860.yaml): SGD at 0.2, LAMB at
          0.003, times 0.6 every 250 rounds.
            python -m fedjax_asr.main \\
              --config=configs/ds2_librispeech.py:published_from_seed \\
              --config.federated.init_from=<run directory of central_100>
"""

from fedjax_asr import config, config_file
from fedjax_asr.presets import librispeech, models


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {
    '': _federated_100,
    'federated_100': _federated_100,
    'central_100': _central_100,
    'federated_960': _federated_960,
    'published': _published,
    'published_from_seed': _published_from_seed,
  }
  return config_file.chosen(variant, variants)()


def _federated_100() -> config.Config:
  model = models.ds2('large')
  model.ds2.dtype = config.Dtype.BFLOAT16
  return config.Config(
    name='ds2_librispeech_federated_100',
    data=librispeech.data(librispeech.HOURS_100),
    augment=librispeech.augment(),
    model=model,
    federated=librispeech.federated(num_rounds=3000, cohort_size=32),
    evaluation=config.EvaluationConfig(
      every_rounds=100, clients_every_rounds=100
    ),
    checkpoint=config.CheckpointConfig(every_rounds=50),
  )


def _central_100() -> config.Config:
  cfg = _federated_100()
  cfg.name = 'ds2_librispeech_central_100'
  cfg.federated = librispeech.central(num_epochs=60)
  cfg.evaluation.every_rounds = 1000
  cfg.evaluation.clients_every_rounds = 1000
  cfg.checkpoint.every_rounds = 500
  return cfg


def _federated_960() -> config.Config:
  cfg = _federated_100()
  cfg.name = 'ds2_librispeech_federated_960'
  cfg.data = librispeech.data(librispeech.HOURS_960)
  cfg.federated = librispeech.federated(num_rounds=6000, cohort_size=64)
  return cfg


def _published() -> config.Config:
  cfg = _federated_960()
  cfg.name = 'ds2_librispeech_published'
  cfg.augment = librispeech.published_augment()
  cfg.federated = librispeech.published()
  return cfg


def _published_from_seed() -> config.Config:
  cfg = _published()
  cfg.name = 'ds2_librispeech_published_from_seed'
  cfg.data = librispeech.data(librispeech.HOURS_860)
  cfg.federated = librispeech.published_from_seed(
    'runs/ds2_librispeech_central_100'
  )
  return cfg
