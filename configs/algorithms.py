"""Federated algorithms side by side, on clients that are far from alike.

  python -m fedjax_asr.main --config=configs/algorithms.py[:variant] \\
      --config.federated.algorithm=scaffold
  python benchmarks/algorithms.py RESULT.json --config=configs/algorithms.py

The second trains every point of `sweep()`, an algorithm with a seed each, and
evaluates it by speaker; docs/algorithms.md says what each algorithm is and what
came of it.

Variants:
  (none)      `small` DeepSpeech 2 on the corpus of configs/ds2_fedavg.py; each
              of 108 speakers is a client, of a speed of its own.
  transcript  clients of equal size, with few kinds of sentences each: Dirichlet
              (0.1) over the first words of transcripts, speakers mixed.
  tuning      the first, on other voices and sentences, on which settings were
              chosen: `sweep` has a grid for each algorithm and one seed.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, federated, models

_SEEDS = range(3)
_RATE = 'federated.client.learning_rate'
_SERVER = 'federated.server'
_SERVER_RATE = f'{_SERVER}.learning_rate'
_UNIFORM = {'federated.weighting': 'uniform'}
# Of the FedAvg of the paper, whose server takes the mean.
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
  """Each algorithm with each seed; of `tuning`, with each setting.

  Those of one algorithm are apart, so that what is left when time runs out
  lacks a seed or a setting, and no algorithm.
  """
  if variant == 'tuning':
    tried = [_tried(name) for name in _ALGORITHMS]
    for turn in itertools.zip_longest(*tried):
      yield from filter(None, turn)
    return
  for seed in _SEEDS:
    for name, settings in _ALGORITHMS.items():
      yield {'name': name, **settings, **_CHOSEN[name], 'seed': seed}


def _tried(name: str) -> list[dict[str, Any]]:
  """Every point of its grids, once."""
  points = []
  for grid in _GRIDS[name]:
    for values in itertools.product(*grid.values()):
      settings = dict(zip(grid, values, strict=True))
      points.append({'name': name, **_ALGORITHMS[name], **settings})
  return list({str(sorted(each.items())): each for each in points}.values())


def _optimizer(name: str) -> dict[str, Any]:
  return {f'{_SERVER}.optimizer': name}


def _algorithm(name: str, **settings: Any) -> dict[str, Any]:
  return {'federated.algorithm': name} | _of(name, **settings)


def _of(name: str, **settings: Any) -> dict[str, Any]:
  return {f'federated.{name}.{field}': each for field, each in settings.items()}


# The server is Adam's, as in configs/ds2_fedavg.py, unless a row says another.
_ALGORITHMS: dict[str, dict[str, Any]] = {
  'fedavg': _MEAN,
  'fedavgm': _MEAN | _optimizer('momentum'),
  'fedadagrad': _optimizer('adagrad'),
  'fedadam': {},
  'fedyogi': _optimizer('yogi'),
  'fedlamb': _optimizer('lamb'),
  'fedlars': _optimizer('lars'),
  'fedsgd': _algorithm('fedsgd'),
  'fedprox': _algorithm('fedprox'),
  'scaffold': _algorithm('scaffold'),
  'feddyn': _MEAN | _UNIFORM | _algorithm('feddyn'),
  'fednova': _algorithm('fednova'),
  'mimelite': _MEAN
  | _algorithm('mimelite')
  | {'federated.client.optimizer': 'momentum'},
  'qffl': _UNIFORM | _algorithm('qffl'),
  'agnostic': _UNIFORM | _algorithm('agnostic'),
  'loss_weighted': _algorithm('loss_weighted'),
  'wer_weighted': _algorithm('wer_weighted'),
  'fedbn': _algorithm('fedbn'),
  'ditto': _algorithm('ditto'),
  'fedrep': _algorithm('fedrep'),
  'fedbuff': _algorithm('fedbuff', concurrency=8),
}

_RATES = {_RATE: (0.3, 1.0)}
_SERVER_RATES = {_SERVER_RATE: (2e-3, 5e-3, 0.01)}
# Of an algorithm with a setting of its own.
_FEWER_RATES = {_SERVER_RATE: (5e-3, 0.01)}
_FASTER = {_SERVER_RATE: (0.02,)}

# What was tried of each: a first grid, and then beyond it where its best was at
# an edge.
_GRIDS: dict[str, Sequence[Mapping[str, Sequence[Any]]]] = {
  'fedavg': [{_RATE: (0.1, 0.3, 1.0, 3.0)}],
  'fedavgm': [
    _RATES | {_SERVER_RATE: (0.1, 0.3, 1.0)},
    {_RATE: (1.0,), _SERVER_RATE: (2.0,)},
    {_RATE: (3.0,), _SERVER_RATE: (0.3, 1.0)},
  ],
  'fedadagrad': [
    _RATES | {_SERVER_RATE: (5e-3, 0.02, 0.08)},
  ],
  'fedadam': [
    _RATES | _SERVER_RATES,
    {_RATE: (0.3,), _SERVER_RATE: (0.02, 0.04)},
    {_RATE: (0.1,), _SERVER_RATE: (0.01,)},
  ],
  'fedyogi': [
    _RATES | _SERVER_RATES,
    {_RATE: (0.3,), _SERVER_RATE: (0.02, 0.04)},
  ],
  'fedlamb': [
    _RATES | {_SERVER_RATE: (5e-3, 0.02, 0.08)},
    _RATES | {_SERVER_RATE: (0.04,)},
    {_RATE: (0.3,), _SERVER_RATE: (0.15,)},
  ],
  'fedlars': [
    _RATES | {_SERVER_RATE: (5e-3, 0.02, 0.08)},
    {_RATE: (0.3,), _SERVER_RATE: (0.01, 0.04)},
  ],
  'fedsgd': [{_SERVER_RATE: (2e-3, 5e-3, 0.01, 0.02)}],
  'fedprox': [
    _FEWER_RATES | _of('fedprox', mu=(1e-3, 0.01, 0.1)),
    _FASTER | _of('fedprox', mu=(0.1, 1.0)),
  ],
  'scaffold': [_RATES | _SERVER_RATES, {_RATE: (0.3,)} | _FASTER],
  'feddyn': [_RATES | _of('feddyn', alpha=(0.01, 0.1, 1.0))],
  'fednova': [_RATES | _SERVER_RATES, {_RATE: (0.3,)} | _FASTER],
  'mimelite': [{_RATE: (0.03, 0.1, 0.3, 1.0, 3.0)}],
  'qffl': [_FEWER_RATES | _of('qffl', q=(0.01, 0.1, 1.0))],
  'agnostic': [
    _FEWER_RATES | _of('agnostic', learning_rate=(1e-5, 1e-4, 1e-3)),
  ],
  'loss_weighted': [
    _FEWER_RATES | _of('loss_weighted', temperature=(10.0, 30.0, 100.0)),
  ],
  'wer_weighted': [
    _FEWER_RATES | _of('wer_weighted', temperature=(-1.0, 0.3, 1.0)),
  ],
  'fedbn': [_RATES | _SERVER_RATES, {_RATE: (0.3,)} | _FASTER],
  'ditto': [
    _of('ditto', regularization=(0.01, 0.1, 1.0), learning_rate=(0.1, 0.3)),
  ],
  'fedrep': [
    _SERVER_RATES | _of('fedrep', head_steps=(1, 2)),
    _FASTER | _of('fedrep', head_steps=(1,)),
  ],
  'fedbuff': [
    _SERVER_RATES | _of('fedbuff', staleness_exponent=(0.0, 0.5)),
    {_SERVER_RATE: (5e-4, 1e-3)},
  ],
}

# Of those, the lowest WER on held-out speakers of `tuning` or, where clients
# keep models, of these: `python benchmarks/algorithms.py RESULT.json --chosen`.
_CHOSEN: dict[str, dict[str, Any]] = {
  'fedavg': {_RATE: 1.0},
  'fedavgm': {_RATE: 1.0, _SERVER_RATE: 1.0},
  'fedadagrad': {_RATE: 1.0, _SERVER_RATE: 0.02},
  'fedadam': {_RATE: 0.3, _SERVER_RATE: 0.02},
  'fedyogi': {_RATE: 0.3, _SERVER_RATE: 0.01},
  'fedlamb': {_RATE: 1.0, _SERVER_RATE: 0.08},
  'fedlars': {_RATE: 0.3, _SERVER_RATE: 0.04},
  'fedsgd': {_SERVER_RATE: 5e-3},
  'fedprox': {_SERVER_RATE: 0.02} | _of('fedprox', mu=1.0),
  'scaffold': {_RATE: 0.3, _SERVER_RATE: 0.02},
  'feddyn': {_RATE: 1.0} | _of('feddyn', alpha=1.0),
  'fednova': {_RATE: 0.3, _SERVER_RATE: 0.01},
  'mimelite': {_RATE: 1.0},
  'qffl': {_SERVER_RATE: 0.01} | _of('qffl', q=0.1),
  'agnostic': {_SERVER_RATE: 0.01} | _of('agnostic', learning_rate=1e-5),
  'loss_weighted': {_SERVER_RATE: 0.01}
  | _of('loss_weighted', temperature=30.0),
  'wer_weighted': {_SERVER_RATE: 0.01} | _of('wer_weighted', temperature=0.3),
  'fedbn': {_RATE: 0.3, _SERVER_RATE: 0.01},
  'ditto': _of('ditto', regularization=1.0, learning_rate=0.3),
  'fedrep': {_SERVER_RATE: 0.01} | _of('fedrep', head_steps=1),
  'fedbuff': {_SERVER_RATE: 2e-3} | _of('fedbuff', staleness_exponent=0.5),
}


def _speaker() -> config.Config:
  cfg = config.Config(
    name='algorithms',
    data=corpora.commands(),
    features=config.FeaturesConfig(hop_ms=20.0),
    model=models.ds2('small'),
    federated=federated.fedavg(
      num_rounds=110, cohort_size=8, block_size=2, server_learning_rate=5e-3
    ),
  )
  # Enough of each speaker to see who is served worst.
  cfg.data.heldout_utterance_fraction = 0.1
  # A clock, which decides nothing unless who is late does.
  cfg.federated.systems.speeds = config.Speeds.LOG_NORMAL
  return cfg


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
