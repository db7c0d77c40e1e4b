"""Attacks of a second: a first layer of 60 units on synthetic digits, 20 frames
a second, which the closed form inverts exactly.
"""

import json
import pathlib

import untrained_run

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.jobs import attack, attack_victims, attacked_run

NUM_SPEAKERS = 4
UTTERANCES_EACH = 3
# A speaker is held out; the run trains on the others.
NUM_CLIENTS = NUM_SPEAKERS - 1

CONFIG = """
import tiny_attack


def get_config(variant=''):
  return tiny_attack.{made}({folder!r})
"""


def fresh(folder: pathlib.Path | str) -> config.Config:
  """An attack on a freshly initialised model; `folder` holds the cache."""
  cfg = model_config(folder)
  cfg.job = config.Job.ATTACK
  return _quick(cfg)


def model_config(folder: pathlib.Path | str) -> config.Config:
  """Model, speech and training alone."""
  cfg = config.Config(name='tiny_attack')
  cfg.data = config.DataConfig(
    synthetic=config.SyntheticConfig(
      num_speakers=NUM_SPEAKERS,
      utterances_per_speaker=UTTERANCES_EACH,
      grammar=config.Grammar.DIGITS,
    ),
    num_heldout_speakers=1,
    heldout_utterance_fraction=0.0,
    cache_dir=f'{folder}/cache',
    num_workers=1,
  )
  cfg.features = config.FeaturesConfig(
    kind=config.FeatureKind.MFCC,
    num_features=8,
    num_mels=20,
    window_ms=50.0,
    hop_ms=50.0,
    fft_size=1024,
    normalization=config.Normalization.NONE,
  )
  cfg.model.architecture = config.Architecture.DS1
  cfg.model.ds1 = config.DeepSpeech1Config(
    context_frames=3,
    dense_sizes=(60, 12, 10),
    recurrent_size=8,
    final_size=8,
    dropout=0.0,
  )
  cfg.federated.cohort_size = 2
  cfg.federated.num_rounds = 2
  cfg.federated.client = config.ClientConfig(batch_size=2, learning_rate=0.01)
  cfg.checkpoint.every_rounds = 1
  cfg.evaluation.every_rounds = 1
  return cfg


def write_run(folder: pathlib.Path) -> pathlib.Path:
  """A run with checkpoints of rounds 1 and 2."""
  untrained_run.write(folder / 'run', model_config(folder))
  return folder / 'run'


def of_run(run: pathlib.Path) -> config.Config:
  """An attack on it; whatever it says of model and speech is the run's."""
  cfg = config.Config(job=config.Job.ATTACK, name='tiny_attack')
  cfg.attack.run = str(run)
  return _quick(cfg)


def _quick(cfg: config.Config) -> config.Config:
  cfg.attack.methods = ('span',)
  # 48 frames are what the first layer can hold; all are padded to one shape.
  cfg.attack.max_seconds = 2.4
  return cfg


def write_config(folder: pathlib.Path, made: str = 'fresh') -> str:
  """The flag that names a config file of `fresh`."""
  path = folder / f'{made}.py'
  path.write_text(CONFIG.format(made=made, folder=str(folder)))
  return f'--config={path}'


def attacked(
  cfg: config.Config, workdir: pathlib.Path
) -> tuple[attacked_run.AttackedRun, list[attack_victims.Victim]]:
  run = attacked_run.load(cfg, workdir, lambda *_: None)
  return run, attack_victims.victims(run, cfg.attack)


def observed(
  cfg: config.Config, workdir: pathlib.Path
) -> tuple[list[attack_victims.Victim], list[observation.Observation]]:
  """Victims and what each of them sends."""
  run, victims = attacked(cfg, workdir)
  speech = attack_victims.public_speech(run, victims)
  made = attack_victims.observations(run, cfg.attack, victims, speech)
  return victims, list(made)


def records(cfg: config.Config, workdir: pathlib.Path) -> list[dict]:
  """What `attack.json` holds after the job."""
  attack.run(cfg, workdir)
  return json.loads((workdir / 'attack.json').read_text())
