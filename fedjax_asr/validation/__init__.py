"""Whether a config can work, decided before anything else happens."""

import math
import types
import typing
from typing import Any

from fedjax_asr import config
from fedjax_asr.validation import (
  aggregation,
  algorithms,
  jobs,
  personal,
  privacy,
  recovery,
  requirement,
  secure,
  systems,
)


def validate(cfg: config.Config) -> None:
  """Raises `ConfigError` unless every field and combination can work."""
  for path, field, hint, value in config.walk(cfg):
    _check_type(path, hint, value)
    if field.metadata:
      for number in value if isinstance(value, tuple) else (value,):
        _check_range(path, value, number, field.metadata)
  _check_name(cfg)
  _check_alphabet(cfg)
  if not jobs.goes_by_a_run(cfg):
    _check_data(cfg)
  _check_features(cfg)
  _check_precomputed(cfg)
  _check_ds1(cfg)
  _check_ds2(cfg)
  _check_federated(cfg)
  algorithms.check(cfg)
  personal.check(cfg)
  privacy.check(cfg)
  _check_compression(cfg)
  systems.check(cfg)
  aggregation.check(cfg)
  secure.check(cfg)
  _check_checkpoint(cfg)
  recovery.check(cfg)
  jobs.check(cfg)


def _check_type(path: str, hint: Any, value: Any) -> None:
  if isinstance(hint, types.GenericAlias):
    (item_type, *_) = typing.get_args(hint)
    wanted = f'a tuple of {item_type.__name__}'
    met = isinstance(value, tuple) and all(type(v) is item_type for v in value)
  elif hint is float:
    wanted = 'a finite number'
    met = type(value) in (int, float) and math.isfinite(value)
  else:
    wanted = f'a value of type {hint.__name__}'
    met = type(value) is hint
  if not met:
    raise config.ConfigError(f'{path}={value!r}; want {wanted}.')


def _check_range(path: str, value: Any, number: float, limits: Any) -> None:
  met = limits['low'] <= number <= limits['high']
  met = met and limits['above'] < number < limits['below']
  if not met:
    raise config.ConfigError(f'{path}={value!r}; want {range_text(limits)}.')


def range_text(limits: Any) -> str:
  """The range of a `config.bounded` field, by its metadata; '' for any."""
  terms = [
    f'{sign} {limits[name]:g}'
    for name, sign in (
      ('low', '>='),
      ('above', '>'),
      ('high', '<='),
      ('below', '<'),
    )
    if math.isfinite(limits[name])
  ]
  return ' and '.join(terms)


def _check_name(cfg: config.Config) -> None:
  requirement.require(
    cfg,
    'name',
    cfg.name not in ('', '.', '..') and '/' not in cfg.name,
    'a file name',
  )


def _check_data(cfg: config.Config) -> None:
  data = cfg.data
  # A comma is what a shell's a,b is read as: one entry.
  requirement.require(
    cfg,
    'data.drop_tags',
    all(tag.strip() and ',' not in tag for tag in data.drop_tags),
    "tags without a comma, such as ('[noise]', '<unk>')",
  )
  requirement.read(
    cfg,
    'data.splits',
    data.corpus is config.Corpus.LIBRISPEECH,
    'data.corpus=librispeech',
  )
  requirement.require(
    cfg,
    'data.heldout_speakers',
    not (data.heldout_speakers and data.heldout_path),
    '() with a data.heldout_path, whose speakers are held out',
  )
  if data.corpus is not config.Corpus.SYNTHETIC:
    requirement.require(
      cfg, 'data.path', bool(data.path), f'the path of the {data.corpus}'
    )
    return
  requirement.require(
    cfg, 'data.path', not data.path, "'' for data.corpus=synthetic"
  )
  requirement.require(
    cfg,
    'data.heldout_path',
    not data.heldout_path,
    "'' for data.corpus=synthetic",
  )
  requirement.require(
    cfg,
    'data.num_heldout_speakers',
    data.num_heldout_speakers < data.synthetic.num_speakers,
    f'fewer than data.synthetic.num_speakers={data.synthetic.num_speakers}',
  )


def _check_alphabet(cfg: config.Config) -> None:
  alphabet = cfg.data.alphabet
  requirement.require(
    cfg, 'data.alphabet', bool(alphabet), 'english, corpus or a file'
  )
  requirement.read(
    cfg,
    'data.min_symbol_count',
    alphabet == 'corpus',
    'data.alphabet=corpus',
  )
  for name in ('case', 'punctuation'):
    requirement.read(
      cfg, f'data.{name}', alphabet != 'english', 'another data.alphabet'
    )
  requirement.read(
    cfg,
    'data.numbers_language',
    cfg.data.numbers is config.Numbers.SPELL,
    'data.numbers=spell',
  )
  requirement.read(
    cfg,
    'data.synthetic.language',
    cfg.data.corpus is config.Corpus.SYNTHETIC,
    'data.corpus=synthetic',
  )


def _check_precomputed(cfg: config.Config) -> None:
  requirement.require(
    cfg,
    'features.kind',
    cfg.features.kind is not config.FeatureKind.PRECOMPUTED
    or cfg.data.corpus is config.Corpus.MANIFEST,
    f'a kind that is computed from audio, for data.corpus={cfg.data.corpus} '
    '(or data.corpus=manifest)',
  )


def _check_features(cfg: config.Config) -> None:
  features = cfg.features
  if features.kind is config.FeatureKind.PRECOMPUTED:
    return
  window = round(features.window_ms * features.sample_rate / 1000)
  requirement.require(
    cfg,
    'features.fft_size',
    window <= features.fft_size,
    f'at least the window of {window} samples',
  )
  requirement.require(
    cfg,
    'augment.max_frequency_warp',
    not cfg.augment.max_frequency_warp or features.kind in _BANDS,
    f'0 for features.kind={features.kind}, whose features are no frequencies',
  )
  requirement.require(
    cfg,
    'features.dynamic_range_db',
    not features.dynamic_range_db
    or features.normalization is not config.Normalization.RUNNING,
    '0 for features.normalization=running, which hears nothing of what is to '
    'come',
  )
  hop = round(features.hop_ms * features.sample_rate / 1000)
  requirement.require(
    cfg,
    'features.hop_ms',
    1 <= hop <= window,
    f'at most features.window_ms={features.window_ms}, and a sample or more',
  )
  requirement.require(
    cfg,
    'features.high_hz',
    features.low_hz < features.high_hz <= features.sample_rate / 2,
    f'above features.low_hz={features.low_hz} and at most half of '
    f'features.sample_rate={features.sample_rate}',
  )
  wanted = {
    config.FeatureKind.LOG_MEL: features.num_features == features.num_mels,
    config.FeatureKind.LOG_SPECTROGRAM: (
      features.num_features == features.fft_size // 2 + 1
    ),
    config.FeatureKind.MFCC: features.num_features <= features.num_mels,
  }
  rule = {
    config.FeatureKind.LOG_MEL: f'features.num_mels={features.num_mels}',
    config.FeatureKind.LOG_SPECTROGRAM: (
      f'features.fft_size // 2 + 1 = {features.fft_size // 2 + 1}'
    ),
    config.FeatureKind.MFCC: f'at most features.num_mels={features.num_mels}',
  }
  requirement.require(
    cfg,
    'features.num_features',
    wanted[features.kind],
    f'{rule[features.kind]} for features.kind={features.kind}',
  )


# Kinds of features whose axis is one of frequencies.
_BANDS = (config.FeatureKind.LOG_MEL, config.FeatureKind.LOG_SPECTROGRAM)


def _check_ds1(cfg: config.Config) -> None:
  requirement.require(
    cfg,
    'model.ds1.dense_sizes',
    len(cfg.model.ds1.dense_sizes) == 3,
    '3 entries',
  )


def _check_ds2(cfg: config.Config) -> None:
  model = cfg.model.ds2
  count = len(model.conv_channels)
  requirement.require(
    cfg, 'model.ds2.conv_channels', count >= 1, 'one entry or more'
  )
  for name in (
    'conv_time_kernels',
    'conv_frequency_kernels',
    'conv_time_strides',
    'conv_frequency_strides',
  ):
    requirement.require(
      cfg,
      f'model.ds2.{name}',
      len(getattr(model, name)) == count,
      f'{count} entries, as model.ds2.conv_channels has',
    )
  requirement.require(
    cfg,
    'model.ds2.lookahead',
    not (model.lookahead and model.bidirectional),
    '0 with model.ds2.bidirectional=true, which sees all that is ahead',
  )
  if model.norm is config.Norm.GROUP:
    for width in (*model.conv_channels, model.recurrent_size):
      requirement.require(
        cfg,
        'model.ds2.num_norm_groups',
        width % model.num_norm_groups == 0,
        f'a divisor of the width {width} for model.ds2.norm=group',
      )


def _check_federated(cfg: config.Config) -> None:
  federated = cfg.federated
  devices = federated.num_devices
  if devices and federated.cohort_size:
    requirement.require(
      cfg,
      'federated.num_devices',
      devices <= federated.cohort_size,
      f'at most federated.cohort_size={federated.cohort_size}',
    )
  server = federated.server
  requirement.require(
    cfg,
    'federated.num_utterances',
    bool(federated.num_rounds or federated.num_utterances),
    'above 0 with federated.num_rounds=0',
  )
  requirement.require(
    cfg,
    'federated.server.warmup_rounds',
    server.warmup_rounds < (federated.num_rounds or math.inf),
    f'fewer than federated.num_rounds={federated.num_rounds}',
  )
  requirement.require(
    cfg,
    'federated.client.schedule',
    federated.client.schedule is not config.Schedule.EXPONENTIAL,
    'constant, linear or cosine: only the server has federated.server.decay',
  )
  requirement.read(
    cfg,
    'federated.server.decay',
    server.schedule is config.Schedule.EXPONENTIAL,
    'federated.server.schedule=exponential',
  )
  if federated.partition is not config.Partition.SPEAKER:
    requirement.require(
      cfg,
      'federated.cohort_size',
      federated.cohort_size <= federated.num_clients,
      f'at most federated.num_clients={federated.num_clients}',
    )


def _check_compression(cfg: config.Config) -> None:
  code = cfg.federated.compression
  for name, methods in _READERS.items():
    requirement.read(
      cfg,
      f'federated.compression.{name}',
      code.method in methods,
      f'federated.compression.method={" or ".join(methods)}',
    )
  if code.method is config.Compression.QUANTIZED:
    requirement.require(
      cfg,
      'federated.compression.bits',
      code.bits > 1 or code.rounding is config.Rounding.STOCHASTIC,
      '2 to 8 with federated.compression.rounding=nearest (or method=sign)',
    )
  if code.error_feedback:
    _check_error_feedback(cfg)


_READERS = {
  'rounding': (config.Compression.INT8, config.Compression.QUANTIZED),
  'bits': (config.Compression.QUANTIZED,),
  'top_fraction': (config.Compression.TOP_K, config.Compression.RANDOM_K),
}


def _check_error_feedback(cfg: config.Config) -> None:
  code, privacy = cfg.federated.compression, cfg.federated.privacy
  path = 'federated.compression.error_feedback'
  requirement.require(
    cfg,
    path,
    code.method is not config.Compression.NONE,
    'false without a federated.compression.method, which loses something',
  )
  for name in ('local_noise_multiplier', 'central_noise_multiplier'):
    requirement.require(
      cfg,
      path,
      not getattr(privacy, name),
      f'false with federated.privacy.{name}: what is kept and added later '
      'would exceed the clip_norm that noise is for',
    )
  requirement.require(
    cfg,
    path,
    not privacy.target_epsilon,
    'false with federated.privacy.target_epsilon: what is kept and added later '
    'would exceed the clip_norm that noise is for',
  )
  if code.method in _READERS['rounding']:
    requirement.require(
      cfg,
      'federated.compression.rounding',
      code.rounding is config.Rounding.NEAREST,
      'nearest with federated.compression.error_feedback: what stochastic '
      'rounding loses may be longer than the update, and would grow',
    )


def _check_checkpoint(cfg: config.Config) -> None:
  every = cfg.checkpoint.every_rounds
  if cfg.checkpoint.keep_best:
    requirement.require(
      cfg,
      'evaluation.every_rounds',
      cfg.evaluation.every_rounds % every == 0,
      f'a multiple of checkpoint.every_rounds={every}, so that the best '
      'round is one that is saved (or checkpoint.keep_best=0)',
    )
