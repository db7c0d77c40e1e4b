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

from fedjax_asr import config
from fedjax_asr.models import presets


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {'': _default, 'librispeech': _librispeech}
  if variant not in variants:
    names = ', '.join(repr(name) for name in variants)
    raise ValueError(f'variant {variant!r}; want one of {names}.')
  return variants[variant]()


def _default() -> config.Config:
  cfg = config.Config(
    job=config.Job.CONVERGE,
    name='ds2_converge',
    data=config.DataConfig(
      num_heldout_speakers=0,
      heldout_utterance_fraction=0.0,
      synthetic=config.SyntheticConfig(
        num_speakers=12, utterances_per_speaker=4
      ),
    ),
    model=presets.ds2('tiny'),
    converge=config.ConvergeConfig(
      learning_rate=2e-3, final_learning_rate_fraction=0.3
    ),
  )
  cfg.model.ds2.recurrent_size = 256
  return cfg


def _librispeech() -> config.Config:
  cfg = _default()
  cfg.data = config.DataConfig(
    corpus=config.Corpus.LIBRISPEECH,
    path='LibriSpeech/dev-clean',
    num_heldout_speakers=0,
    heldout_utterance_fraction=0.0,
  )
  cfg.converge.max_seconds = 8.0
  return cfg
