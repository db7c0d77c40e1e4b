"""Reconstructs what clients of a DeepSpeech 1 said from what they send.

  python -m fedjax_asr.main --config=configs/ds1_attack.py[:variant]

The model is freshly initialised; configs/attack.py attacks a run.

Variants:
  (none)     two clients with a spoken command each, layers of 512: exact in
             seconds, no transcript and no length known.
               python -m fedjax_asr.main --config=configs/ds1_attack.py
  privacy    the model of Dang et al. 2021 (47.2 M), unnormalised MFCC; any
             corpus: --config.data.corpus=manifest --config.data.path=...
               python -m fedjax_asr.main --config=configs/ds1_attack.py:privacy
  long       the same where speech is too long for the first layer.
               python -m fedjax_asr.main --config=configs/ds1_attack.py:long
  matching   second-order gradient matching and the published Hessian-free
             attack on the same model, transcript and length given; for a GPU.
               python -m fedjax_asr.main --config=configs/ds1_attack.py:matching
  short      gradient matching where speech is short and normalised: layers of
             128, stretches of 20 frames, transcript and length given; minutes.
               python -m fedjax_asr.main --config=configs/ds1_attack.py:short
  run        configs/attack.py by another name: needs --config.attack.run.
               python -m fedjax_asr.main --config=configs/ds1_attack.py:run

What the attacks find is in docs/attacks.md.
"""

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, features, models


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {
    '': _default,
    'privacy': _privacy,
    'long': _long,
    'matching': _matching,
    'short': _short,
    'run': _run,
  }
  return config_file.chosen(variant, variants)()


def _default() -> config.Config:
  model = models.ds1('privacy')
  model.ds1.dense_sizes = (512, 512, 512)
  model.ds1.recurrent_size = 256
  model.ds1.final_size = 256
  return config.Config(
    job=config.Job.ATTACK,
    name='ds1_attack',
    data=corpora.attacked(),
    features=features.mfcc(config.Normalization.NONE),
    model=model,
    federated=config.FederatedConfig(
      client=config.ClientConfig(learning_rate=1e-3)
    ),
    attack=config.AttackConfig(
      methods=('span', 'seed_and_grow', 'gradient_matching'),
      knows_transcript=False,
    ),
  )


def _privacy() -> config.Config:
  cfg = _default()
  cfg.model = models.ds1('privacy')
  cfg.attack.subset = config.Subset.CORPUS
  cfg.attack.methods = ('span', 'seed_and_grow')
  return cfg


def _long() -> config.Config:
  cfg = _privacy()
  cfg.attack.methods = ('seed_and_grow',)
  return cfg


def _matching() -> config.Config:
  cfg = _privacy()
  cfg.attack.max_seconds = 4.0
  cfg.attack.methods = ('gradient_matching', 'hessian_free')
  cfg.attack.tries_all = True
  cfg.attack.knows_transcript = True
  cfg.attack.knows_length = True
  cfg.attack.gradient_matching.num_restarts = 1
  cfg.attack.gradient_matching.distance = config.Distance.COSINE_L2
  cfg.attack.gradient_matching.halve_every = 200
  return cfg


def _short() -> config.Config:
  cfg = _default()
  cfg.features = features.mfcc(config.Normalization.UTTERANCE)
  cfg.model.ds1.dense_sizes = (128, 128, 128)
  cfg.model.ds1.recurrent_size = 128
  cfg.model.ds1.final_size = 128
  cfg.attack.num_victims = 6
  cfg.attack.stretch_seconds = 0.4
  cfg.attack.methods = ('gradient_matching',)
  cfg.attack.knows_transcript = True
  cfg.attack.knows_length = True
  return cfg


def _run() -> config.Config:
  return config_file.read('attack')
