"""Reconstructs what clients of a DeepSpeech 2 said from what they send.

  python -m fedjax_asr.main --config=configs/ds2_attack.py[:variant]

The model is freshly initialised; configs/attack.py attacks a run.

Variants:
  (none)       one client, 0.6 s of a spoken command: the frames that the
               convolutions give, their order, the features; no transcript and
               no length known.
                 python -m fedjax_asr.main --config=configs/ds2_attack.py
  base         the `base` model, stretches of 1 s; any corpus:
               --config.data.corpus=manifest --config.data.path=...
                 python -m fedjax_asr.main --config=configs/ds2_attack.py:base
  spectrogram  the same on 161 bins, of which twice as many units see each:
               --config=configs/ds2_attack.py:spectrogram
  batch_norm   `base` with batch norm in training mode, whose running averages
               the client sends too: --config=configs/ds2_attack.py:batch_norm
  descent      descent on the span residual, to compare; for a GPU.
               --config=configs/ds2_attack.py:descent
  run          configs/attack.py by another name: needs --config.attack.run.
                 python -m fedjax_asr.main --config=configs/ds2_attack.py:run

What the attacks find is in docs/attacks.md.
"""

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, models


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {
    '': _default,
    'base': _base,
    'spectrogram': _spectrogram,
    'batch_norm': _batch_norm,
    'descent': _descent,
    'run': _run,
  }
  return config_file.chosen(variant, variants)()


def _default() -> config.Config:
  cfg = _base()
  cfg.model.ds2.num_recurrent_layers = 1
  cfg.model.ds2.recurrent_size = 128
  cfg.attack.subset = config.Subset.TRAIN
  cfg.attack.num_victims = 1
  cfg.attack.stretch_seconds = 0.6
  return cfg


def _base() -> config.Config:
  return config.Config(
    job=config.Job.ATTACK,
    name='ds2_attack',
    data=corpora.attacked(),
    model=models.ds2('base'),
    attack=config.AttackConfig(
      subset=config.Subset.CORPUS,
      num_victims=20,
      stretch_seconds=1.0,
      methods=('demixing',),
    ),
  )


def _spectrogram() -> config.Config:
  cfg = _base()
  cfg.features = config.FeaturesConfig(
    kind=config.FeatureKind.LOG_SPECTROGRAM,
    num_features=161,
    fft_size=320,
    window_ms=20.0,
    hop_ms=10.0,
  )
  return cfg


def _batch_norm() -> config.Config:
  cfg = _base()
  cfg.model.ds2.norm = config.Norm.BATCH
  return cfg


def _descent() -> config.Config:
  cfg = _base()
  cfg.attack.num_victims = 4
  cfg.attack.methods = ('span_descent',)
  return cfg


def _run() -> config.Config:
  return config_file.read('attack')
