"""A private run as the job `train` leaves it, without training."""

import json
import pathlib

import described_population

from fedjax_asr import config, run_files

SECRET = '123456789 2718281828'


def write(path: pathlib.Path, seed: int = 0, **privacy) -> pathlib.Path:
  """Of three rounds; `privacy`: fields of its config."""
  cfg = config.Config(name='private', seed=seed)
  cfg.federated.sampling = config.Sampling.POISSON
  cfg.federated.cohort_size = 4
  cfg.federated.num_rounds = 3
  own = cfg.federated.privacy
  own.clip_norm, own.central_noise_multiplier = 0.5, 0.75
  own.population = 10_000
  for name, value in privacy.items():
    setattr(own, name, value)
  files = run_files.RunFiles(path)
  path.mkdir(parents=True)
  files.config_json.write_text(json.dumps(config.as_dict(cfg)))
  files.noise_seed.write_text(SECRET)
  files.population.write_text(json.dumps(described_population.POPULATION))
  rounds = [_round(index) for index in (1, 2, 3)]
  rounds[-1] |= {
    'eval/wer': 0.25 + seed / 10,
    'privacy/mu': 1.5,
    'privacy/tpr_at_1_percent': 0.125,
  }
  lines = [json.dumps(each) for each in rounds]
  files.metrics.write_text('\n'.join(lines) + '\n')
  return path


def _round(index: int) -> dict:
  return {
    'round': index,
    'train/loss': 3.0,
    'privacy/delta': 1e-5,
    'privacy/epsilon_pld': 4.25 * index,
    'privacy/epsilon_rdp': 5.0 * index,
    'privacy/extrapolated_epsilon_pld': None,
    'privacy/extrapolated_epsilon_rdp': 0.5 * index,
  }
