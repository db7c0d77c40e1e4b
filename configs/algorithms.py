"""Federated algorithms side by side, on clients that are far from alike.

  python -m fedjax_asr.main --config=configs/algorithms.py[:variant] \\
      --config.federated.algorithm=scaffold
  python benchmarks/algorithms.py RESULT.json --config=configs/algorithms.py

The second trains every point of `sweep()`, an algorithm with a seed each, and
evaluates it by speaker; docs/algorithms.md says what each algorithm is.

Variants:
  (none)      `small` DeepSpeech 2 on the corpus of configs/ds2_fedavg.py; each
              of 108 speakers is a client.
  transcript  clients of equal size, with few kinds of sentences each: Dirichlet
              (0.1) over the first words of transcripts, speakers mixed.
  tuning      the first, on other voices and sentences, on which settings are
              chosen: `sweep` has a grid for each algorithm and one seed.
"""

from collections.abc import Iterator
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, federated, models

_SEEDS = range(3)
_SERVER = 'federated.server'
_UNIFORM = {'federated.weighting': 'uniform'}
# Of the plain FedAvg of the paper, whose server takes the mean.
_MEAN = {
  f'{_SERVER}.optimizer': 'sgd',
  f'{_SERVER}.learning_rate': 1.0,
  f'{_SERVER}.schedule': 'constant',
  f'{_SERVER}.warmup_rounds': 0,
}


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {'': _speaker, 'transcript': _transcript, 'tuning': _tuning}
  return config_file.chosen(variant, variants)()


def sweep(variant: str = '') -> Iterator[dict[str, Any]]:
  """Each algorithm with each seed; of `tuning`, with each setting."""
  if variant == 'tuning':
    for name, points in _GRID.items():
      yield from ({'name': name, **point} for point in points)
    return
  for name, point in _ALGORITHMS.items():
    for seed in _SEEDS:
      yield {'name': name, **point, 'seed': seed}


def _optimizer(name: str, rate: float) -> dict[str, Any]:
  return {f'{_SERVER}.optimizer': name, f'{_SERVER}.learning_rate': rate}


def _algorithm(name: str, **settings: Any) -> dict[str, Any]:
  return {
    'federated.algorithm': name,
    **{f'federated.{name}.{field}': value for field, value in settings.items()},
  }


# The server is Adam's, as in configs/ds2_fedavg.py, unless a row says another.
_ALGORITHMS: dict[str, dict[str, Any]] = {
  'fedavg': _MEAN,
  'fedavgm': _MEAN | _optimizer('momentum', 0.3),
  'fedadagrad': _optimizer('adagrad', 0.02),
  'fedadam': {},
  'fedyogi': _optimizer('yogi', 5e-3),
  'fedlamb': _optimizer('lamb', 0.02),
  'fedlars': _optimizer('lars', 0.02),
  'fedsgd': _algorithm('fedsgd'),
  'fedprox': _algorithm('fedprox', mu=0.01),
  'scaffold': _algorithm('scaffold'),
  'feddyn': _MEAN | _UNIFORM | _algorithm('feddyn', alpha=0.1),
  'fednova': _algorithm('fednova'),
  'mimelite': _MEAN
  | _algorithm('mimelite')
  | {'federated.client.optimizer': 'momentum'},
  'qffl': _UNIFORM | _algorithm('qffl', q=0.1),
  'agnostic': _UNIFORM | _algorithm('agnostic', learning_rate=1e-4),
  'fedbn': _algorithm('fedbn'),
  'ditto': _algorithm('ditto', regularization=0.1, learning_rate=0.3),
  'fedrep': _algorithm('fedrep', head_steps=1),
}

# What is tried of each, around what `_ALGORITHMS` has.
_GRID: dict[str, list[dict[str, Any]]] = {
  'fedavg': [
    _MEAN | {'federated.client.learning_rate': rate} for rate in (0.3, 1.0, 3.0)
  ],
  'fedavgm': [_MEAN | _optimizer('momentum', rate) for rate in (0.1, 0.3, 1.0)],
  'fedadagrad': [_optimizer('adagrad', rate) for rate in (5e-3, 0.02, 0.08)],
  'fedadam': [_optimizer('adam', rate) for rate in (2e-3, 5e-3, 0.01)],
  'fedyogi': [_optimizer('yogi', rate) for rate in (2e-3, 5e-3, 0.01)],
  'fedlamb': [_optimizer('lamb', rate) for rate in (5e-3, 0.02, 0.08)],
  'fedlars': [_optimizer('lars', rate) for rate in (5e-3, 0.02, 0.08)],
  'fedprox': [_algorithm('fedprox', mu=mu) for mu in (1e-3, 0.01, 0.1)],
  'feddyn': [
    _MEAN | _UNIFORM | _algorithm('feddyn', alpha=alpha)
    for alpha in (0.01, 0.1, 1.0)
  ],
  'qffl': [_UNIFORM | _algorithm('qffl', q=q) for q in (0.01, 0.1, 1.0)],
  'agnostic': [
    _UNIFORM | _algorithm('agnostic', learning_rate=rate)
    for rate in (1e-5, 1e-4, 1e-3)
  ],
}


def _speaker() -> config.Config:
  return config.Config(
    name='algorithms',
    data=corpora.commands(),
    features=config.FeaturesConfig(hop_ms=20.0),
    model=models.ds2('small'),
    federated=federated.fedavg(num_rounds=110, cohort_size=8, block_size=2),
  )


def _transcript() -> config.Config:
  cfg = _speaker()
  cfg.federated.partition = config.Partition.TRANSCRIPT
  cfg.federated.num_clients = 108
  cfg.federated.dirichlet_alpha = 0.1
  return cfg


def _tuning() -> config.Config:
  cfg = _speaker()
  cfg.data.synthetic.seed = 1
  return cfg
