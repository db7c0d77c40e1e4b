"""DeepSpeech 2 fitted to single batches, to the limit.

  python -m fedjax_asr.main --config=configs/ds2_converge.py[:variant]

Variants, and the iterations from which on their batches' losses stay under
0.0013 nats (2 CPU cores, 1 to 3 minutes; benchmarks/results/):
  (none)       three batches of 4 synthesised commands: 34, 30 and 33.
                 python -m fedjax_asr.main --config=configs/ds2_converge.py
  librispeech  three batches of 4 utterances of at most 8 s: 41, 46 and 47.
                 python -m fedjax_asr.main \\
                   --config=configs/ds2_converge.py:librispeech
               and --config.data.path=<a LibriSpeech folder>, or
               --config.data.corpus=manifest --config.data.path=<a manifest>
"""

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, models


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {'': _default, 'librispeech': _librispeech}
  return config_file.chosen(variant, variants)()


def _default() -> config.Config:
  cfg = config.Config(
    job=config.Job.CONVERGE,
    name='ds2_converge',
    data=corpora.fitted(),
    model=models.ds2('tiny'),
    converge=config.ConvergeConfig(
      learning_rate=2e-3, final_learning_rate_fraction=0.3
    ),
  )
  cfg.model.ds2.recurrent_size = 256
  return cfg


def _librispeech() -> config.Config:
  cfg = _default()
  cfg.data = corpora.fitted_librispeech()
  cfg.converge.max_seconds = 8.0
  return cfg
