"""What of privacy is refused before a run begins, each by its field."""

import pytest

from fedjax_asr import config, validation

_ADAPTIVE = config.Clipping.ADAPTIVE
_BANDED = config.Mechanism.BANDED
_POISSON = config.Sampling.POISSON


def _config(model=None, features=None, data=None, recovery=None, **federated):
  """With noise on a sum of 8, unless `privacy` says otherwise."""
  privacy = {'clip_norm': 1.0, 'central_noise_multiplier': 1.0}
  privacy |= federated.pop('privacy', {})
  settings = {
    'num_rounds': 10,
    'cohort_size': 8,
    'weighting': config.Weighting.UNIFORM,
  }
  return config.Config(
    model=config.ModelConfig(ds2=config.DeepSpeech2Config(**(model or {}))),
    features=config.FeaturesConfig(**(features or {})),
    data=config.DataConfig(**(data or {})),
    recovery=config.RecoveryConfig(**(recovery or {})),
    federated=config.FederatedConfig(
      **settings | federated, privacy=config.PrivacyConfig(**privacy)
    ),
  )


def _quiet(**privacy):
  """Without noise."""
  return _config(privacy={'central_noise_multiplier': 0.0} | privacy)


def _local(**federated):
  """With clients' noise alone."""
  privacy = {'central_noise_multiplier': 0.0, 'local_noise_multiplier': 1.0}
  privacy |= federated.pop('privacy', {})
  return _config(privacy=privacy, **federated)


def _sampled(**privacy):
  return _config(sampling=_POISSON, privacy=privacy)


_P = 'federated.privacy.'
_NOISY = f'with {_P}central_noise_multiplier'
_REFUSED = [
  # Out of range.
  *(
    (_config(privacy={'delta': delta}), f'{_P}delta={delta}; want > 0 and <')
    for delta in (0.0, 1.0, -0.5)
  ),
  (_config(privacy={'clip_norm': -1.0}), f'{_P}clip_norm=-1.0; want >= 0'),
  (_config(privacy={'noise_seed': -2}), f'{_P}noise_seed=-2; want >= -1'),
  (
    _config(privacy={'noise_seed': 2**32}),
    f'{_P}noise_seed=4294967296; want >= -1',
  ),
  (
    _config(privacy={'clipping': _ADAPTIVE, 'quantile': 1.0}),
    f'{_P}quantile=1.0; want > 0 and < 1',
  ),
  # A multiple of nothing.
  *(
    (
      config.Config(
        federated=config.FederatedConfig(
          weighting=config.Weighting.UNIFORM,
          privacy=config.PrivacyConfig(**{name: 1.0}),
        )
      ),
      f'{_P}{name}=1.0; want 0 without a {_P}clip_norm',
    )
    for name in (
      'local_noise_multiplier',
      'central_noise_multiplier',
      'target_epsilon',
    )
  ),
  # Of which nothing would be read.
  (
    _quiet(clip_norm=0.0, clipping=_ADAPTIVE),
    f"{_P}clipping='adaptive'; want 'flat' without {_P}clip_norm",
  ),
  (
    _quiet(layer_bounds=config.LayerBounds.DIMENSION),
    f"{_P}layer_bounds='dimension'; want 'uniform' without {_P}clipping=per_",
  ),
  (_quiet(quantile=0.4), f'{_P}quantile=0.4; want 0.5 without {_P}clipping=ad'),
  (
    _quiet(quantile_learning_rate=0.4),
    f'{_P}quantile_learning_rate=0.4; want 0.2 without {_P}clipping=adaptive',
  ),
  (
    _quiet(clipping=_ADAPTIVE, count_noise=1.0),
    f'{_P}count_noise=1.0; want 0.0 without {_P}clipping=adaptive and noise',
  ),
  (_quiet(delta=1e-6), f'{_P}delta=1e-06; want 1e-05 without noise'),
  (
    _quiet(mechanism=_BANDED),
    f"{_P}mechanism='banded'; want 'independent' without {_P}central_noise_mul",
  ),
  (
    _config(privacy={'num_bands': 2}),
    f'{_P}num_bands=2; want 1 without {_P}mechanism=banded',
  ),
  (
    _quiet(population=100),
    f'{_P}population=100; want 0 without {_P}central_noise_multiplier',
  ),
  (
    _config(privacy={'population_cohort': 100}),
    f'{_P}population_cohort=100; want 0 without {_P}population',
  ),
  (_quiet(noise_seed=1), f'{_P}noise_seed=1; want -1 without noise'),
  (
    _config(privacy={'max_cohort': 9}),
    f'{_P}max_cohort=9; want 0 without federated.sampling=poisson',
  ),
  # Adaptive clipping.
  (
    _local(privacy={'clipping': _ADAPTIVE}),
    f'{_P}local_noise_multiplier=1.0; want 0 with {_P}clipping=adaptive',
  ),
  (
    _config(
      sampling=_POISSON,
      privacy={'clipping': _ADAPTIVE, 'mechanism': _BANDED, 'num_bands': 2},
    ),
    f"{_P}mechanism='banded'; want independent with {_P}clipping=adaptive",
  ),
  (
    _config(privacy={'clipping': _ADAPTIVE, 'count_noise': 0.05}),
    f'{_P}count_noise=0.05; want more than 0.5 clients (over federated.cohort',
  ),
  # The default is a twentieth of the cohort: 0.4 of 8.
  (
    _config(privacy={'clipping': _ADAPTIVE}),
    f'{_P}count_noise=0.0; want more than 0.5 clients (over federated.cohort',
  ),
  # Who is in a round.
  (
    _config(systems=config.SystemsConfig(speeds=config.Speeds.LOG_NORMAL)),
    "federated.systems.speeds='log_normal'; want none with",
  ),
  (
    _config(systems=config.SystemsConfig(dropout=0.1, num_drawn=9)),
    'federated.systems.num_drawn=9; want 0 with',
  ),
  (
    _config(privacy={'mechanism': _BANDED, 'num_bands': 2}),
    f"federated.sampling='fixed'; want poisson with {_P}mechanism=banded",
  ),
  *(
    (
      _sampled(mechanism=_BANDED, num_bands=bands),
      f'{_P}num_bands={bands}; want 2 to federated.num_rounds=10',
    )
    for bands in (1, 11)
  ),
  (
    _config(algorithm=config.AlgorithmName.FEDBUFF),
    f"federated.algorithm='fedbuff'; want another {_NOISY}",
  ),
  # What else would be told of a client.
  (
    _config(model={'norm': config.Norm.BATCH}),
    f"model.ds2.norm='batch'; want layer, group or none {_NOISY}",
  ),
  (
    _local(model={'norm': config.Norm.BATCH}),
    "model.ds2.norm='batch'; want layer, group or none with "
    f'{_P}local_noise_multiplier',
  ),
  *(
    (
      _config(features={'normalization': normalization}),
      f"features.normalization='{normalization}'; want utterance or none",
    )
    for normalization in (
      config.Normalization.GLOBAL,
      config.Normalization.RUNNING,
    )
  ),
  (
    _config(data={'alphabet': 'corpus'}),
    f"data.alphabet='corpus'; want english or a file {_NOISY}",
  ),
  (
    _config(recovery={'max_rollbacks': 1}),
    f'recovery.max_rollbacks=1; want 0 {_NOISY}',
  ),
  # How far one client moves the sum.
  (
    _config(weighting=config.Weighting.UTTERANCES),
    f"federated.weighting='utterances'; want uniform {_NOISY}",
  ),
  (
    _config(
      weighting=config.Weighting.FRAMES,
      privacy={'central_noise_multiplier': 0.0, 'target_epsilon': 1.0},
    ),
    f"federated.weighting='frames'; want uniform with {_P}target_epsilon",
  ),
  *(
    (
      _config(compression=config.CompressionConfig(method=method)),
      f"federated.compression.method='{method}'; want none, sign or top_k",
    )
    for method in (
      config.Compression.FLOAT16,
      config.Compression.BFLOAT16,
      config.Compression.INT8,
      config.Compression.QUANTIZED,
      config.Compression.RANDOM_K,
    )
  ),
  (
    _config(
      compression=config.CompressionConfig(
        method=config.Compression.TOP_K, error_feedback=True
      )
    ),
    'federated.compression.error_feedback=True; want false with '
    f'{_P}central_noise_multiplier',
  ),
  (
    _config(sampling=_POISSON, privacy={'local_noise_multiplier': 0.1}),
    f'{_P}local_noise_multiplier=0.1; want 0 {_NOISY} and '
    'federated.sampling=poisson',
  ),
  (
    _config(
      privacy={'local_noise_multiplier': 0.1},
      compression=config.CompressionConfig(method=config.Compression.SIGN),
    ),
    f'{_P}local_noise_multiplier=0.1; want 0 {_NOISY} and a '
    'federated.compression.method',
  ),
  *(
    (
      _config(aggregation=config.AggregationConfig(method=method)),
      f'{_P}central_noise_multiplier=1.0; want 0 with federated.aggregation',
    )
    for method in (config.Aggregator.MEDIAN,)
  ),
  *(
    (
      _config(algorithm=algorithm),
      f'{_P}central_noise_multiplier=1.0; want 0 with federated.algorithm',
    )
    for algorithm in (
      config.AlgorithmName.SCAFFOLD,
      config.AlgorithmName.FEDNOVA,
      config.AlgorithmName.QFFL,
      config.AlgorithmName.AGNOSTIC,
      config.AlgorithmName.LOSS_WEIGHTED,
      config.AlgorithmName.WER_WEIGHTED,
    )
  ),
  (
    _config(privacy={'population': 100, 'population_cohort': 101}),
    f'{_P}population=100; want at least the cohort that a round expects',
  ),
  (
    _config(
      sampling=_POISSON,
      privacy={'population': 15, 'mechanism': _BANDED, 'num_bands': 2},
    ),
    f'{_P}population=15; want at least the cohort that a round expects of it, '
    'for each band',
  ),
]


@pytest.mark.parametrize(
  ('cfg', 'message'), _REFUSED, ids=[message[:50] for _, message in _REFUSED]
)
def test_what_no_promise_can_be_kept_with_is_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(f'config.{message}')
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'cfg',
  [
    _config(),
    _sampled(),
    _sampled(max_cohort=8),
    _sampled(mechanism=_BANDED, num_bands=10),
    _sampled(clipping=_ADAPTIVE, count_noise=0.07),
    _config(privacy={'local_noise_multiplier': 0.1}),
    _local(weighting=config.Weighting.FRAMES),
    _local(
      compression=config.CompressionConfig(method=config.Compression.INT8)
    ),
    _config(
      compression=config.CompressionConfig(method=config.Compression.SIGN)
    ),
    _config(privacy={'population': 100, 'population_cohort': 100}),
    _config(systems=config.SystemsConfig(dropout=0.1)),
    _quiet(clipping=_ADAPTIVE, quantile=0.3),
    _config(data={'alphabet': 'letters.txt'}),
    _config(features={'normalization': config.Normalization.UTTERANCE}),
  ],
)
def test_the_rest_can(cfg):
  validation.validate(cfg)
