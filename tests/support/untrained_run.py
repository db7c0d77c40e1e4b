"""Run directories as the job `train` leaves them, without training."""

import json
import pathlib

import jax
import numpy as np

from fedjax_asr import checkpoint, config, run_alphabet, run_directory
from fedjax_asr.federated import server
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets


def small_config(
  architecture: config.Architecture = config.Architecture.DS2,
) -> config.Config:
  """A model of a thousand parameters; global normalisation."""
  cfg = config.Config(name='untrained')
  cfg.features.num_features = cfg.features.num_mels = 8
  cfg.features.normalization = config.Normalization.GLOBAL
  cfg.model.architecture = architecture
  cfg.model.ds1 = config.DeepSpeech1Config(
    context_frames=2,
    time_stride=3,
    dense_sizes=(6, 5, 6),
    recurrent_size=4,
    final_size=6,
    dropout=0.5,
  )
  cfg.model.ds2 = config.DeepSpeech2Config(
    conv_channels=(2, 2),
    conv_time_kernels=(3, 4),
    conv_frequency_kernels=(3, 3),
    conv_time_strides=(2, 2),
    conv_frequency_strides=(2, 2),
    num_recurrent_layers=1,
    recurrent_size=3,
    norm=config.Norm.BATCH,
    dropout=0.5,
  )
  cfg.checkpoint.every_rounds = 1
  return cfg


def state(
  cfg: config.Config,
  round_index: int,
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
) -> server.ServerState:
  """Random parameters, others in each round."""
  acoustic = model.acoustic(cfg.model, cfg.features.num_features, alphabet)
  key = jax.random.key(round_index)
  made = server.initial_state(acoustic, cfg.federated, key, 8)
  return made._replace(round=np.int32(round_index))


def write(
  path: pathlib.Path,
  cfg: config.Config,
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
) -> None:
  """A run of two rounds, with the statistics mean 0.5 and deviation 2."""
  with run_directory.open_run(path, cfg) as directory:
    checkpoints = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
    for round_index in (1, 2):
      checkpoints.save(round_index, state(cfg, round_index, alphabet), None)
    checkpoints.close()
    directory.alphabet.write_text(run_alphabet.content(alphabet))
    statistics = {'mean': [0.5] * 8, 'std': [2.0] * 8}
    directory.statistics.write_text(json.dumps(statistics))
