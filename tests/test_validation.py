import dataclasses
import json

import pytest

from fedjax_asr import config, validation

_LEAVES = list(config.walk(config.Config()))


def _with(**changes):
  """A default config, with `section__field=value` changed."""
  changed = config.Config()
  for name, value in changes.items():
    *sections, field = name.split('__')
    holder = changed
    for section in sections:
      holder = getattr(holder, section)
    setattr(holder, field, value)
  return changed


def _set(path, value):
  return _with(**{path.removeprefix('config.').replace('.', '__'): value})


def _message(changed):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(changed)
  return str(caught.value)


def test_defaults_are_valid():
  validation.validate(config.Config())


def test_as_dict_survives_json():
  plain = config.as_dict(config.Config())
  assert json.loads(json.dumps(plain)) == plain
  assert plain['model']['ds2']['conv_channels'] == [32, 32]
  assert plain['features']['kind'] == 'log_mel'


def test_walk_reaches_every_field():
  def count(node):
    fields = [getattr(node, field.name) for field in dataclasses.fields(node)]
    return sum(
      count(value) if dataclasses.is_dataclass(value) else 1 for value in fields
    )

  assert len({path for path, *_ in _LEAVES}) == count(config.Config())


@pytest.mark.parametrize('path', [path for path, *_ in _LEAVES])
def test_every_field_refuses_another_type(path):
  message = _message(_set(path, object()))
  assert message.startswith(f'{path}=<object')
  assert '; want a' in message


@pytest.mark.parametrize(
  ('path', 'limits', 'value'),
  [
    (path, field.metadata, value)
    for path, field, _, value in _LEAVES
    if field.metadata
  ],
)
def test_every_range_has_ends(path, limits, value):
  """Just outside is refused; the message names field and value."""
  kind = type(value[0] if isinstance(value, tuple) else value)
  step = 1 if kind is int else 1e-6
  outside = {
    'low': limits['low'] - step,
    'high': limits['high'] + step,
    'above': limits['above'],
    'below': limits['below'],
  }
  tried = [kind(number) for number in outside.values() if abs(number) < 1e300]
  assert tried
  for number in tried:
    wrong = (number,) * len(value) if isinstance(value, tuple) else number
    message = _message(_set(path, wrong))
    assert message.startswith(f'{path}={wrong!r}; want ')


@pytest.mark.parametrize('number', [float('nan'), float('inf')])
def test_numbers_are_finite(number):
  message = _message(_with(data__max_seconds=number))
  assert message == f'config.data.max_seconds={number}; want a finite number.'


def test_precomputed_features_need_no_audio_fields():
  changed = _with(
    data__corpus=config.Corpus.MANIFEST,
    data__path='manifest.jsonl',
    features__kind=config.FeatureKind.PRECOMPUTED,
    features__num_features=13,
    features__hop_ms=40.0,
  )
  validation.validate(changed)


def test_booleans_are_not_integers():
  assert _message(_with(seed=True)).endswith('want a value of type int.')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'name': 'a/b'}, "config.name='a/b'; want a file name."),
    ({'name': ''}, "config.name=''; want a file name."),
    (
      {'data__corpus': config.Corpus.FSDD},
      "config.data.path=''; want the path of the fsdd",
    ),
    ({'data__path': 'x'}, "config.data.path='x'; want ''"),
    ({'data__heldout_path': 'x'}, "config.data.heldout_path='x'; want ''"),
    (
      {'data__num_heldout_speakers': 120},
      'config.data.num_heldout_speakers=120; want fewer than',
    ),
    (
      {
        'data__corpus': config.Corpus.FSDD,
        'data__path': 'x',
        'data__heldout_path': 'y',
        'data__heldout_speakers': ('george',),
      },
      "config.data.heldout_speakers=['george']; want () with a",
    ),
    (
      {
        'features__kind': config.FeatureKind.MFCC,
        'features__num_features': 13,
        'augment__max_frequency_warp': 0.1,
      },
      'config.augment.max_frequency_warp=0.1; want 0 for features.kind=mfcc',
    ),
    (
      {
        'features__dynamic_range_db': 30.0,
        'features__normalization': config.Normalization.RUNNING,
      },
      'config.features.dynamic_range_db=30.0; want 0 for features.normaliza',
    ),
    (
      {'federated__num_rounds': 0},
      'config.federated.num_utterances=0; want above 0 with federated.num_',
    ),
    (
      {'features__fft_size': 256},
      'config.features.fft_size=256; want at least the window of 400',
    ),
    (
      {'features__hop_ms': 26.0},
      'config.features.hop_ms=26.0; want at most features.window_ms=25.0, '
      'and a sample or more',
    ),
    (
      {'features__high_hz': 8001.0},
      'config.features.high_hz=8001.0; want above',
    ),
    (
      {'features__low_hz': 8000.0},
      'config.features.high_hz=8000.0; want above features.low_hz=8000.0',
    ),
    (
      {'features__num_features': 40},
      'config.features.num_features=40; want features.num_mels=80',
    ),
    (
      {'features__kind': config.FeatureKind.PRECOMPUTED},
      "config.features.kind='precomputed'; want a kind that is computed from "
      'audio, for data.corpus=synthetic',
    ),
    (
      {'features__kind': config.FeatureKind.LOG_SPECTROGRAM},
      'config.features.num_features=80; want features.fft_size // 2 + 1 = 257',
    ),
    (
      {
        'features__kind': config.FeatureKind.MFCC,
        'features__num_features': 81,
      },
      'config.features.num_features=81; want at most features.num_mels=80',
    ),
    (
      {'model__ds2__conv_channels': ()},
      'config.model.ds2.conv_channels=[]; want one entry or more',
    ),
    (
      {'model__ds2__conv_time_kernels': (11,)},
      'config.model.ds2.conv_time_kernels=[11]; want 2 entries',
    ),
    (
      {'model__ds2__norm': config.Norm.GROUP, 'model__ds2__num_norm_groups': 5},
      'config.model.ds2.num_norm_groups=5; want a divisor of the width 32',
    ),
    (
      {'federated__num_devices': 9},
      'config.federated.num_devices=9; want at most federated.cohort_size=8',
    ),
    (
      {'federated__client__schedule': config.Schedule.EXPONENTIAL},
      "config.federated.client.schedule='exponential'; want constant,",
    ),
    (
      {'federated__server__decay__factor': 0.5},
      'config.federated.server.decay.factor=0.5; want 0.6 without '
      'federated.server.schedule=exponential',
    ),
    (
      {'federated__server__warmup_rounds': 100},
      'config.federated.server.warmup_rounds=100; want fewer than',
    ),
    (
      {
        'federated__partition': config.Partition.IID,
        'federated__cohort_size': 101,
      },
      'config.federated.cohort_size=101; want at most',
    ),
    (
      {'checkpoint__every_rounds': 3},
      'config.evaluation.every_rounds=10; want a multiple of',
    ),
  ],
)
def test_combinations_that_cannot_work_are_named(changes, message):
  assert _message(_with(**changes)).startswith(message)


def test_best_round_need_not_be_saved_when_none_is_kept():
  validation.validate(
    _with(checkpoint__every_rounds=3, checkpoint__keep_best=0)
  )


def test_from_dict_inverts_as_dict():
  cfg = config.Config(job=config.Job.EVALUATE, seed=7)
  cfg.model.ds2.conv_channels = (3, 4)
  cfg.model.architecture = config.Architecture.DS1
  plain = json.loads(json.dumps(config.as_dict(cfg)))
  assert config.from_dict(config.Config, plain) == cfg


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda plain: plain.pop('seed'), 'config.seed: missing.'),
    (
      lambda plain: plain['model'].update(depth=3),
      'config.model.depth: no such field.',
    ),
    (
      lambda plain: plain['model'].update(architecture='ds3'),
      "config.model.architecture='ds3'; want one of ds1, ds2.",
    ),
    (lambda plain: plain.update(data=4), 'config.data=4; want a section.'),
  ],
)
def test_a_dictionary_that_is_no_config_is_named(change, message):
  plain = config.as_dict(config.Config())
  change(plain)
  with pytest.raises(config.ConfigError) as caught:
    config.from_dict(config.Config, plain)
  assert str(caught.value) == message
