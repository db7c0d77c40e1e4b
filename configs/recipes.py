"""How the settings of ds1_fedavg, ds2_fedavg and ds2_central were chosen.

  python benchmarks/sweep.py RESULT.json --config=configs/recipes.py:ds2 \\
    [--config.data.path=...] [--jobs=N]

with any of the variants below in place of `ds2`.

In two stages, each with held-out speakers that settings are not reported on:
`screen_*` varies one thing at a time on one draw of 8 held-out speakers,
`ds2`, `gpu`, `central` and `ds1` compare what was left on further draws of 8.
Both read a manifest of AN4's MFCC without the ten speakers of the report:
benchmarks/reserved_speakers.py. `fsdd` holds out each of its six speakers in
turn, `synthetic` has other voices and sentences (the corpus's seed 1), and
`clients` divides AN4 among 3 and among 300 clients. What came of each is in
benchmarks/results/recipes_*.json, what follows from it in docs/recipes.md.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, features, federated, models

_Point = dict[str, Any]
_RATE = 'federated.server.learning_rate'
# Of all configs until these sweeps; points that name no rate have it.
_OLD_RATE = 5e-3
_ROUNDS = 'federated.num_rounds'
_STRIDES = 'model.ds2.conv_time_strides'
# SpecAugment of 13 cepstra at 100 frames a second.
_MASKS = {
  'augment.num_time_masks': 1,
  'augment.max_time_mask_frames': 20,
  'augment.num_frequency_masks': 1,
  'augment.max_frequency_mask_bins': 3,
}
_MORE_MASKS = {
  'augment.num_time_masks': 2,
  'augment.max_time_mask_frames': 30,
  'augment.num_frequency_masks': 1,
  'augment.max_frequency_mask_bins': 4,
}
_STRETCH = {'augment.max_time_stretch': 0.1}
_FSDD_SPEAKERS = (
  'george',
  'jackson',
  'lucas',
  'nicolas',
  'theo',
  'yweweler',
)
_FEW_MASKS = {
  'augment.num_frequency_masks': 1,
  'augment.max_frequency_mask_bins': 4,
  'augment.num_time_masks': 1,
  'augment.max_time_mask_frames': 10,
}
_WIDER = {'model.ds2.conv_channels': (16, 32)}


def get_config(variant: str = '') -> config.Config:
  """What every point of the variant starts from."""
  variants = {name: start for start, names in _STARTS for name in names.split()}
  return config_file.chosen(variant or 'ds2', variants)()


def sweep(variant: str = '') -> Iterator[_Point]:
  """The points of a variant."""
  return config_file.chosen(variant or 'ds2', _SWEEPS)()


def _screened_ds2() -> Iterator[_Point]:
  start = {_ROUNDS: 600, _STRIDES: (2, 2), _RATE: 1e-2, 'seed': 10}
  for rate in (2.5e-3, 5e-3, 1e-2, 2e-2):
    yield start | {_RATE: rate}
  for rate in (5e-3, 1e-2):
    yield start | {_STRIDES: (2, 1), _RATE: rate}
  for change in (
    {'federated.client.learning_rate': 0.1},
    {'federated.client.learning_rate': 1.0},
    {'federated.client.batch_size': 4},
    {'federated.client.local_epochs': 2},
    {'federated.server.ema_decay': 0.98},
    {'federated.server.momentum': 0.9},
    _MASKS,
    {'federated.server.schedule': 'cosine'},
    {'model.ds2.recurrent_size': 256},
    {'federated.client.clip_norm': 10.0},
    _WIDER,
    {'federated.cohort_size': 16, _ROUNDS: 300},
    {'federated.cohort_size': 16, _ROUNDS: 300, _RATE: 2e-2},
    {'model.ds2.num_recurrent_layers': 3},
  ):
    yield start | change


def _screened_gpu() -> Iterator[_Point]:
  for change in (
    {},
    {_RATE: 6e-3},
    {'federated.server.ema_decay': 0.98},
    _MORE_MASKS,
    {'federated.client.local_epochs': 2},
    {_STRIDES: (2, 2)},
    {'federated.client.batch_size': 4},
  ):
    yield {_ROUNDS: 400, 'seed': 10} | _MASKS | change


def _screened_central() -> Iterator[_Point]:
  start = {_ROUNDS: 2000, _RATE: 4e-3, 'seed': 10}
  for rate, masks in itertools.product((2e-3, 4e-3, 8e-3), ({}, _MASKS)):
    yield start | masks | {_RATE: rate}
  for change in (
    _MASKS
    | {
      _RATE: 2e-3,
      'model.ds2.conv_channels': (32, 32),
      'model.ds2.conv_time_kernels': (11, 11),
      'model.ds2.num_recurrent_layers': 3,
      'model.ds2.recurrent_size': 256,
    },
    _MORE_MASKS,
    _MASKS | {_STRIDES: (2, 2)},
  ):
    yield start | change


def _screened_ds1() -> Iterator[_Point]:
  start = {_ROUNDS: 600, _RATE: 1e-2, 'seed': 10}
  for rate in (2.5e-3, 5e-3, 1e-2, 2e-2):
    yield start | {_RATE: rate}
  for change in (
    {'model.ds1.cell': 'lstm'},
    {'model.ds1.cell': 'gru'},
    {'model.ds1.cell': 'gru', _RATE: 5e-3},
    {'federated.client.learning_rate': 0.1},
    {'model.ds1.dropout': 0.1},
    _MASKS,
    {'federated.client.batch_size': 4},
  ):
    yield start | change


def _screened_fsdd() -> Iterator[_Point]:
  """Speakers were drawn by these two seeds."""
  masks = {
    'augment.num_time_masks': 1,
    'augment.max_time_mask_frames': 10,
    'augment.num_frequency_masks': 1,
    'augment.max_frequency_mask_bins': 8,
  }
  for seed in (10, 11):
    for change in (
      {},
      {_RATE: 1e-2},
      {_RATE: 2e-2},
      {_RATE: 1e-2} | masks,
      {_RATE: 1e-2, 'federated.client.local_epochs': 2},
      {_RATE: 1e-2, _ROUNDS: 200},
    ):
      yield {_ROUNDS: 100} | change | {'seed': seed}


def _ds2() -> Iterator[_Point]:
  yield from _drawn(
    {_ROUNDS: 600, _STRIDES: (2, 2), _RATE: 1e-2} | _WIDER,
    (_MASKS, _MORE_MASKS, _MASKS | _STRETCH),
    seeds=(11, 12, 13),
  )


def _gpu() -> Iterator[_Point]:
  yield from _drawn(
    {_ROUNDS: 450, _RATE: 3e-3} | _MORE_MASKS,
    ({}, _STRETCH, _STRETCH | {_RATE: 5e-3}),
    seeds=(11, 12),
  )


def _central() -> Iterator[_Point]:
  yield from _drawn(
    {_ROUNDS: 3000, _RATE: 4e-3} | _MASKS,
    ({}, _STRETCH, _WIDER | {'model.ds2.recurrent_size': 192}),
    seeds=(11, 12, 13),
  )


def _ds1() -> Iterator[_Point]:
  yield from _drawn(
    {_ROUNDS: 600, _RATE: 1e-2, 'model.ds1.dropout': 0.1} | _MASKS,
    ({}, {'model.ds1.cell': 'lstm'}, _STRETCH),
    seeds=(11, 12, 13),
  )


def _fsdd() -> Iterator[_Point]:
  masks = {
    'augment.num_time_masks': 1,
    'augment.max_time_mask_frames': 10,
    'augment.num_frequency_masks': 2,
    'augment.max_frequency_mask_bins': 6,
  }
  voices = {'augment.max_time_stretch': 0.2, 'augment.max_frequency_warp': 0.2}
  for change in (
    voices,
    voices | masks,
    voices | {'augment.max_frequency_warp': 0.3},
  ):
    for name in _FSDD_SPEAKERS:
      held_out = {'data.heldout_speakers': (name,)}
      yield {_ROUNDS: 150, _RATE: 1e-2} | change | held_out


def _synthetic() -> Iterator[_Point]:
  """Masks of 80 mel bands, of frames of 20 ms."""
  masks = {
    'augment.num_time_masks': 1,
    'augment.max_time_mask_frames': 10,
    'augment.num_frequency_masks': 1,
    'augment.max_frequency_mask_bins': 15,
  }
  for seed in (0, 1):
    for rate, change in itertools.product((5e-3, 1e-2, 1.5e-2), ({}, masks)):
      yield {_RATE: rate} | change | {'seed': seed}


def _clients() -> Iterator[_Point]:
  """About 100 utterances a round, of 3 clients and of 50 of 300."""
  start = {_ROUNDS: 600, _STRIDES: (2, 2), 'seed': 11} | _WIDER | _MASKS
  start |= {'federated.partition': 'iid'}
  for rate in (5e-3, 1e-2, 2e-2):
    few = {'federated.num_clients': 3, 'federated.cohort_size': 3}
    many = {'federated.num_clients': 300, 'federated.cohort_size': 50}
    yield start | few | {'federated.client.max_utterances': 32, _RATE: rate}
    yield start | many | {_RATE: rate}


def _ds2_dropout() -> Iterator[_Point]:
  yield from _drawn(
    {_ROUNDS: 600, _STRIDES: (2, 2), _RATE: 1e-2} | _WIDER | _MASKS | _STRETCH,
    ({'model.ds2.dropout': 0.1}, {'model.ds2.dropout': 0.2}),
    seeds=(11, 12, 13),
  )


def _central_dropout() -> Iterator[_Point]:
  """Of the same model and of a larger one."""
  larger = _WIDER | {
    'model.ds2.recurrent_size': 192,
    'model.ds2.num_recurrent_layers': 3,
  }
  yield from _drawn(
    {_ROUNDS: 3000, _RATE: 4e-3} | _MASKS | _STRETCH,
    (
      {'model.ds2.dropout': 0.2},
      larger | {'model.ds2.dropout': 0.3, _RATE: 3e-3},
    ),
    seeds=(11, 12, 13),
  )


def _gpu_dropout() -> Iterator[_Point]:
  """Twice as long as `gpu`."""
  yield from _drawn(
    {_ROUNDS: 900, _RATE: 3e-3} | _MORE_MASKS | _STRETCH,
    ({'model.ds2.dropout': 0.2},),
    seeds=(11, 12),
  )


def _ds1_lstm() -> Iterator[_Point]:
  """The cell that `ds1` is best with."""
  yield from _drawn(
    {_ROUNDS: 600, _RATE: 1e-2, 'model.ds1.cell': 'lstm'} | _MASKS,
    (
      {'model.ds1.dropout': 0.1} | _STRETCH,
      {'model.ds1.dropout': 0.2},
    ),
    seeds=(11, 12, 13),
  )


def _fsdd_dropout() -> Iterator[_Point]:
  voices = {'augment.max_time_stretch': 0.2, 'augment.max_frequency_warp': 0.2}
  for change in (
    {'model.ds2.dropout': 0.2},
    {'model.ds2.dropout': 0.4},
    {'model.ds2.dropout': 0.3, 'federated.client.local_epochs': 2},
  ):
    for name in _FSDD_SPEAKERS:
      held_out = {'data.heldout_speakers': (name,)}
      yield {_ROUNDS: 150, _RATE: 1e-2} | voices | change | held_out


def _screened_fsdd_features() -> Iterator[_Point]:
  """What the model is given: bands, cepstra, and how far under the loudest."""
  start = {_ROUNDS: 100, _RATE: 1e-2, 'augment.max_time_stretch': 0.2}
  start['augment.max_frequency_warp'] = 0.2
  floor, within = 'features.log_floor', 'features.dynamic_range_db'
  for change in (
    _bands(20) | {floor: 1e-4},
    _bands(20),
    _bands(26) | {floor: 1e-4},
    _bands(40) | {floor: 1e-4},
    _bands(40) | {floor: 1e-3},
    _cepstra(13),
    _cepstra(13) | {floor: 1e-4},
    _bands(20) | {floor: 1e-4, 'features.normalization': 'global'},
    _bands(20) | {floor: 1e-4} | _FEW_MASKS,
    _bands(26),
    _bands(26) | {within: 30.0},
    _bands(26) | {within: 40.0},
    _bands(26) | {within: 50.0},
    _cepstra(13) | {within: 30.0},
    _cepstra(13) | {within: 40.0},
    _cepstra(13) | {within: 50.0},
    _cepstra(20) | {within: 40.0},
    _bands(40) | {within: 40.0},
    _cepstra(13) | {within: 40.0, 'model.ds2.dropout': 0.3},
  ):
    for name in _FSDD_SPEAKERS:
      yield start | change | {'data.heldout_speakers': (name,)}


def _fsdd_range() -> Iterator[_Point]:
  start = {_ROUNDS: 150, _RATE: 1e-2, 'augment.max_time_stretch': 0.2}
  start['augment.max_frequency_warp'] = 0.2
  for bands, within, change in (
    (26, 30.0, {}),
    (26, 25.0, {}),
    (26, 20.0, {}),
    (20, 25.0, {}),
    (40, 30.0, {}),
    (26, 25.0, _FEW_MASKS),
  ):
    ranged = {'features.dynamic_range_db': within}
    for name in _FSDD_SPEAKERS:
      held_out = {'data.heldout_speakers': (name,)}
      yield start | _bands(bands) | ranged | change | held_out


def _bands(count: int) -> _Point:
  """Log-mel, with kernels over half of the bands."""
  kernels = {40: (21, 11), 26: (15, 9), 20: (11, 7)}
  return {
    'features.num_features': count,
    'features.num_mels': count,
    'model.ds2.conv_frequency_kernels': kernels[count],
  }


def _cepstra(count: int) -> _Point:
  return {
    'features.kind': 'mfcc',
    'features.num_features': count,
    'features.num_mels': 40,
    'augment.max_frequency_warp': 0.0,
    'model.ds2.conv_frequency_kernels': (count // 2 * 2 + 1, 7),
  }


def _synthetic_rates() -> Iterator[_Point]:
  for rate, seed in itertools.product((5e-3, 1e-2, 1.5e-2), (0, 1)):
    yield {_RATE: rate, 'seed': seed}


def _drawn(
  start: _Point, changes: tuple[_Point, ...], seeds: tuple[int, ...]
) -> Iterator[_Point]:
  """Each change on each draw of held-out speakers (and of all else)."""
  for change, seed in itertools.product(changes, seeds):
    yield start | change | {'seed': seed}


_SWEEPS = {
  'screen_ds2': _screened_ds2,
  'screen_gpu': _screened_gpu,
  'screen_central': _screened_central,
  'screen_ds1': _screened_ds1,
  'screen_fsdd': _screened_fsdd,
  'ds2': _ds2,
  'gpu': _gpu,
  'central': _central,
  'ds1': _ds1,
  'fsdd': _fsdd,
  'ds2_dropout': _ds2_dropout,
  'central_dropout': _central_dropout,
  'gpu_dropout': _gpu_dropout,
  'ds1_lstm': _ds1_lstm,
  'fsdd_dropout': _fsdd_dropout,
  'screen_fsdd_features': _screened_fsdd_features,
  'fsdd_range': _fsdd_range,
  'synthetic': _synthetic,
  'synthetic_tiny': _synthetic_rates,
  'synthetic_ds1': _synthetic_rates,
  'clients': _clients,
}


def _of_cepstra(model: config.ModelConfig) -> config.Config:
  return config.Config(
    name='recipe',
    data=corpora.precomputed(),
    features=features.precomputed_mfcc(),
    model=model,
    federated=federated.fedavg(
      num_rounds=600,
      cohort_size=8,
      block_size=8,
      server_learning_rate=_OLD_RATE,
    ),
    evaluation=config.EvaluationConfig(every_rounds=100),
    checkpoint=config.CheckpointConfig(every_rounds=100),
  )


def _start_of_ds2() -> config.Config:
  model = models.ds2('tiny')
  model.ds2.conv_frequency_kernels = (13, 7)
  model.ds2.conv_time_strides = (2, 1)
  return _of_cepstra(model)


def _start_of_ds1() -> config.Config:
  model = models.ds1('tiny')
  model.ds1.context_frames = 9
  return _of_cepstra(model)


def _start_of_gpu() -> config.Config:
  cfg = _start_of_ds2()
  cfg.model.ds2.conv_channels = (32, 32)
  cfg.model.ds2.conv_time_kernels = (11, 11)
  cfg.model.ds2.num_recurrent_layers = 3
  cfg.model.ds2.recurrent_size = 256
  cfg.model.ds2.dtype = config.Dtype.BFLOAT16
  cfg.federated = federated.fedavg(
    num_rounds=400, cohort_size=32, block_size=32, server_learning_rate=3e-3
  )
  cfg.federated.server.warmup_rounds = 20
  cfg.evaluation.every_rounds = 50
  cfg.checkpoint.every_rounds = 50
  return cfg


def _start_of_central() -> config.Config:
  cfg = _start_of_ds2()
  cfg.federated = federated.central(
    num_steps=2000, batch_size=32, learning_rate=4e-3
  )
  cfg.federated.server.warmup_rounds = 100
  cfg.evaluation.every_rounds = 250
  cfg.checkpoint.every_rounds = 250
  return cfg


def _start_of_fsdd() -> config.Config:
  cfg = config.Config(
    name='recipe',
    data=corpora.fsdd(),
    features=features.fsdd(),
    model=models.ds2('tiny'),
    federated=federated.fedavg(
      num_rounds=100,
      cohort_size=5,
      block_size=5,
      max_utterances=40,
      server_learning_rate=_OLD_RATE,
    ),
    evaluation=config.EvaluationConfig(every_rounds=25),
    checkpoint=config.CheckpointConfig(every_rounds=25),
  )
  # The number of bands that `screen_fsdd` and `fsdd` were run with.
  cfg.features.num_features = cfg.features.num_mels = 40
  cfg.features.dynamic_range_db = 0.0
  cfg.model.ds2.conv_time_strides = (2, 1)
  return cfg


def _start_of_synthetic() -> config.Config:
  cfg = config.Config(
    name='recipe',
    data=corpora.commands(),
    features=config.FeaturesConfig(hop_ms=20.0),
    model=models.ds2('small'),
    federated=federated.fedavg(
      num_rounds=110,
      cohort_size=8,
      block_size=8,
      server_learning_rate=_OLD_RATE,
    ),
  )
  cfg.data.synthetic.seed = 1
  return cfg


def _start_of_synthetic_tiny() -> config.Config:
  cfg = _start_of_synthetic()
  cfg.features = config.FeaturesConfig()
  cfg.model = models.ds2('tiny')
  return cfg


def _start_of_synthetic_ds1() -> config.Config:
  cfg = _start_of_synthetic_tiny()
  cfg.model = models.ds1('tiny')
  cfg.federated.num_rounds = 160
  return cfg


_STARTS = (
  (_start_of_ds2, 'screen_ds2 ds2 ds2_dropout clients'),
  (_start_of_ds1, 'screen_ds1 ds1 ds1_lstm'),
  (_start_of_gpu, 'screen_gpu gpu gpu_dropout'),
  (_start_of_central, 'screen_central central central_dropout'),
  (
    _start_of_fsdd,
    'screen_fsdd fsdd fsdd_dropout screen_fsdd_features fsdd_range',
  ),
  (_start_of_synthetic, 'synthetic'),
  (_start_of_synthetic_tiny, 'synthetic_tiny'),
  (_start_of_synthetic_ds1, 'synthetic_ds1'),
)
