"""Whether a config can work, decided before anything else happens."""

import math
import types
import typing
from typing import Any

from fedjax_asr import config


def validate(cfg: config.Config) -> None:
  """Raises `ConfigError` unless every field and combination can work."""
  for path, field, hint, value in config.walk(cfg):
    _check_type(path, hint, value)
    if field.metadata:
      for number in value if isinstance(value, tuple) else (value,):
        _check_range(path, value, number, field.metadata)
  _check_name(cfg.name)
  _check_data(cfg.data)
  _check_features(cfg.features)
  _check_precomputed(cfg)
  _check_ds1(cfg.model.ds1)
  _check_ds2(cfg.model.ds2)
  _check_federated(cfg.federated)
  _check_privacy(cfg.federated)
  _check_compression(cfg.federated.compression)
  _check_checkpoint(cfg)
  _check_job(cfg)


def _require(met: bool, path: str, value: Any, wanted: str) -> None:
  if not met:
    raise config.ConfigError(
      f'config.{path}={config.plain(value)!r}; want {wanted}.'
    )


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
    wanted = ' and '.join(terms)
    raise config.ConfigError(f'{path}={value!r}; want {wanted}.')


def _check_name(name: str) -> None:
  _require(
    name not in ('', '.', '..') and '/' not in name,
    'name',
    name,
    'a file name',
  )


def _check_data(data: config.DataConfig) -> None:
  if data.corpus is not config.Corpus.SYNTHETIC:
    _require(
      bool(data.path), 'data.path', data.path, f'the path of the {data.corpus}'
    )
    return
  _require(
    not data.path, 'data.path', data.path, "'' for data.corpus=synthetic"
  )
  _require(
    not data.heldout_path,
    'data.heldout_path',
    data.heldout_path,
    "'' for data.corpus=synthetic",
  )
  _require(
    data.num_heldout_speakers < data.synthetic.num_speakers,
    'data.num_heldout_speakers',
    data.num_heldout_speakers,
    f'fewer than data.synthetic.num_speakers={data.synthetic.num_speakers}',
  )


def _check_precomputed(cfg: config.Config) -> None:
  _require(
    cfg.features.kind is not config.FeatureKind.PRECOMPUTED
    or cfg.data.corpus is config.Corpus.MANIFEST,
    'features.kind',
    cfg.features.kind,
    f'a kind that is computed from audio, for data.corpus={cfg.data.corpus} '
    '(or data.corpus=manifest)',
  )


def _check_features(features: config.FeaturesConfig) -> None:
  if features.kind is config.FeatureKind.PRECOMPUTED:
    return
  window = round(features.window_ms * features.sample_rate / 1000)
  _require(
    window <= features.fft_size,
    'features.fft_size',
    features.fft_size,
    f'at least the window of {window} samples',
  )
  hop = round(features.hop_ms * features.sample_rate / 1000)
  _require(
    1 <= hop <= window,
    'features.hop_ms',
    features.hop_ms,
    f'at most features.window_ms={features.window_ms}, and a sample or more',
  )
  _require(
    features.low_hz < features.high_hz <= features.sample_rate / 2,
    'features.high_hz',
    features.high_hz,
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
  _require(
    wanted[features.kind],
    'features.num_features',
    features.num_features,
    f'{rule[features.kind]} for features.kind={features.kind}',
  )


def _check_ds1(model: config.DeepSpeech1Config) -> None:
  _require(
    len(model.dense_sizes) == 3,
    'model.ds1.dense_sizes',
    model.dense_sizes,
    '3 entries',
  )


def _check_ds2(model: config.DeepSpeech2Config) -> None:
  count = len(model.conv_channels)
  _require(
    count >= 1,
    'model.ds2.conv_channels',
    model.conv_channels,
    'one entry or more',
  )
  for name in (
    'conv_time_kernels',
    'conv_frequency_kernels',
    'conv_time_strides',
    'conv_frequency_strides',
  ):
    value = getattr(model, name)
    _require(
      len(value) == count,
      f'model.ds2.{name}',
      value,
      f'{count} entries, as model.ds2.conv_channels has',
    )
  if model.norm is config.Norm.GROUP:
    for width in (*model.conv_channels, model.recurrent_size):
      _require(
        width % model.num_norm_groups == 0,
        'model.ds2.num_norm_groups',
        model.num_norm_groups,
        f'a divisor of the width {width} for model.ds2.norm=group',
      )


def _check_federated(federated: config.FederatedConfig) -> None:
  devices = federated.num_devices
  if devices:
    _require(
      devices <= federated.cohort_size,
      'federated.num_devices',
      devices,
      f'at most federated.cohort_size={federated.cohort_size}',
    )
  server = federated.server
  _require(
    server.warmup_rounds < federated.num_rounds,
    'federated.server.warmup_rounds',
    server.warmup_rounds,
    f'fewer than federated.num_rounds={federated.num_rounds}',
  )
  if federated.partition is not config.Partition.SPEAKER:
    _require(
      federated.cohort_size <= federated.num_clients,
      'federated.cohort_size',
      federated.cohort_size,
      f'at most federated.num_clients={federated.num_clients}',
    )


def _check_privacy(federated: config.FederatedConfig) -> None:
  privacy = federated.privacy
  for name in ('local_noise_multiplier', 'central_noise_multiplier'):
    value = getattr(privacy, name)
    _require(
      not value or bool(privacy.clip_norm),
      f'federated.privacy.{name}',
      value,
      '0 without a federated.privacy.clip_norm, of which it is a multiple',
    )
  if privacy.central_noise_multiplier:
    _require(
      federated.weighting is config.Weighting.UNIFORM,
      'federated.weighting',
      federated.weighting,
      'uniform with federated.privacy.central_noise_multiplier: a client may '
      'move the sum by clip_norm at most',
    )
    _require(
      federated.compression.method not in _LENGTHENING,
      'federated.compression.method',
      federated.compression.method,
      'none, sign or top_k with federated.privacy.central_noise_multiplier: '
      'an update may exceed clip_norm once it is rounded',
    )


# Rounded numbers may be larger; sign and top_k never lengthen an update.
_LENGTHENING = (
  config.Compression.FLOAT16,
  config.Compression.BFLOAT16,
  config.Compression.INT8,
)


def _check_compression(compression: config.CompressionConfig) -> None:
  """A field that the method would not read is refused, not passed over."""
  default = config.CompressionConfig()
  for name, method in (
    ('rounding', config.Compression.INT8),
    ('top_fraction', config.Compression.TOP_K),
  ):
    value, unread = getattr(compression, name), getattr(default, name)
    _require(
      value == unread or compression.method is method,
      f'federated.compression.{name}',
      value,
      f'{config.plain(unread)!r} without federated.compression.method={method}',
    )


def _check_checkpoint(cfg: config.Config) -> None:
  every, evaluated = (
    cfg.checkpoint.every_rounds,
    cfg.evaluation.every_rounds,
  )
  if cfg.checkpoint.keep_best:
    _require(
      evaluated % every == 0,
      'evaluation.every_rounds',
      evaluated,
      f'a multiple of checkpoint.every_rounds={every}, so that the best '
      'round is one that is saved (or checkpoint.keep_best=0)',
    )


def _check_job(cfg: config.Config) -> None:
  jobs = config.Job
  if cfg.job in (jobs.EVALUATE, jobs.TRANSCRIBE, jobs.EXPORT):
    run = getattr(cfg, cfg.job).run
    _require(bool(run), f'{cfg.job}.run', run, 'the directory of a run')
    _check_unread(cfg)
  if cfg.job is jobs.TRANSCRIBE:
    _check_transcribe(cfg.transcribe)
  if cfg.job is jobs.ATTACK:
    _check_attack(cfg)
  if cfg.job is jobs.CONVERGE:
    _require(
      cfg.converge.warmup_iterations < cfg.converge.num_iterations,
      'converge.warmup_iterations',
      cfg.converge.warmup_iterations,
      f'fewer than converge.num_iterations={cfg.converge.num_iterations}',
    )
  if cfg.job is jobs.LANGUAGE_MODEL and cfg.language_model.run:
    _require(
      not cfg.language_model.text,
      'language_model.text',
      cfg.language_model.text,
      "'' with a language_model.run",
    )
  _check_decode(cfg.decode)


# What a job on a finished run reads; the rest is the run's own.
_READ = {
  config.Job.EVALUATE: {'evaluate', 'evaluation', 'decode'},
  config.Job.TRANSCRIBE: {'transcribe', 'decode'},
  config.Job.EXPORT: {'export'},
  config.Job.ATTACK: {'attack'},
}


def _check_unread(cfg: config.Config) -> None:
  """A field that the job would not read is refused, not passed over."""
  read = {'job', 'name', 'seed'} | _READ[cfg.job]
  reason = f'the job {cfg.job} goes by that of the run'
  if cfg.job in (config.Job.EVALUATE, config.Job.ATTACK):
    if getattr(cfg, cfg.job).subset is config.Subset.CORPUS:
      read.add('data')
    else:
      reason += f' (config.data is for {cfg.job}.subset=corpus)'
  leaves = zip(config.walk(cfg), config.walk(config.Config()), strict=True)
  for (path, _, _, value), (_, _, _, default) in leaves:
    _, section, *_ = path.split('.')
    _require(
      section in read or value == default,
      path.removeprefix('config.'),
      value,
      f'{config.plain(default)!r}: {reason}',
    )


def _check_attack(cfg: config.Config) -> None:
  attack = cfg.attack
  names = [method.value for method in config.AttackMethod]
  _require(
    bool(attack.methods) and all(name in names for name in attack.methods),
    'attack.methods',
    attack.methods,
    f'one or more of {", ".join(names)}',
  )
  _require(
    bool(attack.run) or attack.round < 0,
    'attack.round',
    attack.round,
    '-1 without an attack.run: a fresh model has no rounds',
  )
  _require(
    attack.min_seconds <= attack.max_seconds,
    'attack.min_seconds',
    attack.min_seconds,
    f'at most attack.max_seconds={attack.max_seconds}',
  )
  _require(
    bool(attack.batch_size) or not attack.stretch_seconds,
    'attack.stretch_seconds',
    attack.stretch_seconds,
    '0 for attack.batch_size=0: the run trains on whole utterances',
  )
  is_gradient = attack.observed is config.Observed.GRADIENT
  _require(
    not is_gradient or attack.local_steps == 1,
    'attack.local_steps',
    attack.local_steps,
    '1 for attack.observed=gradient',
  )
  matching = attack.gradient_matching
  _require(
    matching.grid_overlap < max(matching.grid_frames, 1),
    'attack.gradient_matching.grid_overlap',
    matching.grid_overlap,
    f'less than grid_frames={matching.grid_frames}',
  )
  _require(
    attack.hessian_free.min_radius <= attack.hessian_free.radius,
    'attack.hessian_free.min_radius',
    attack.hessian_free.min_radius,
    f'at most radius={attack.hessian_free.radius}',
  )
  if attack.run:
    _check_unread(cfg)


def _check_transcribe(transcribe: config.TranscribeConfig) -> None:
  _require(
    bool(transcribe.input),
    'transcribe.input',
    transcribe.input,
    'an audio file or a folder of them',
  )
  _require(
    transcribe.overlap_seconds < transcribe.window_seconds / 2,
    'transcribe.overlap_seconds',
    transcribe.overlap_seconds,
    f'less than half of transcribe.window_seconds={transcribe.window_seconds}',
  )


def _check_decode(decode: config.DecodeConfig) -> None:
  """A field that the decoder would not read is refused, not passed over."""
  is_greedy = decode.method is config.Decoder.GREEDY
  for path, field, _, value in config.walk(decode, 'decode'):
    _require(
      not is_greedy or field.name == 'method' or value == field.default,
      path,
      value,
      f'{field.default!r} for decode.method=greedy',
    )
  for name, needed in (
    ('language_model_weight', 'language_model'),
    ('word_score', 'lexicon'),
  ):
    value, default = getattr(decode, name), getattr(config.DecodeConfig(), name)
    _require(
      value == default or bool(getattr(decode, needed)),
      f'decode.{name}',
      value,
      f'{default!r} without a decode.{needed}',
    )
