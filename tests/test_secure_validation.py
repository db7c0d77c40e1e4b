"""What secure aggregation goes with."""

import pytest

from fedjax_asr import config, validation


def _config(secure=None, privacy=None, systems=None, model=None, **federated):
  settings = {'cohort_size': 8, 'weighting': config.Weighting.UNIFORM}
  return config.Config(
    model=config.ModelConfig(
      ds2=config.DeepSpeech2Config(**(model or {})),
    ),
    federated=config.FederatedConfig(
      **settings | federated,
      privacy=config.PrivacyConfig(**{'clip_norm': 1.0} | (privacy or {})),
      systems=config.SystemsConfig(**(systems or {})),
      secure_aggregation=config.SecureAggregationConfig(
        **{'enabled': True} | (secure or {})
      ),
    ),
  )


WITH = 'with federated.secure_aggregation.enabled'


@pytest.mark.parametrize(
  ('cfg', 'message'),
  [
    (
      _config(privacy={'clip_norm': 0.0}),
      f'privacy.clip_norm=0.0; want a number above 0 {WITH}',
    ),
    (
      _config(privacy={'clipping': config.Clipping.ADAPTIVE}),
      "privacy.clipping='adaptive'; want flat or per_layer",
    ),
    (
      _config(privacy={'local_noise_multiplier': 0.1}),
      'privacy.local_noise_multiplier=0.1; want 0',
    ),
    (
      _config(weighting=config.Weighting.FRAMES),
      "weighting='frames'; want uniform",
    ),
    (
      _config(algorithm=config.AlgorithmName.SCAFFOLD),
      "algorithm='scaffold'; want one of fedavg, fedsgd, fedprox, ditto",
    ),
    (
      _config(
        compression=config.CompressionConfig(method=config.Compression.SIGN)
      ),
      "compression.method='sign'; want none",
    ),
    (
      _config(
        aggregation=config.AggregationConfig(method=config.Aggregator.MEDIAN)
      ),
      "aggregation.method='median'; want mean",
    ),
    (
      _config(aggregation=config.AggregationConfig(norm_bound=1.0)),
      'aggregation.norm_bound=1.0; want 0',
    ),
    (
      _config(sampling=config.Sampling.POISSON),
      "sampling='poisson'; want fixed",
    ),
    (_config(cohort_size=1), 'cohort_size=1; want 2 or more'),
    (
      _config({'degree': 3}),
      'secure_aggregation.degree=3; want an even number, or all others of '
      'federated.cohort_size=8',
    ),
    (
      _config(systems={'dropout': 0.1, 'num_drawn': 20}),
      'secure_aggregation.threshold=0.5; want less than '
      'federated.cohort_size=8 of federated.systems.num_drawn=20',
    ),
    (
      _config({'enabled': False, 'degree': 4}),
      'secure_aggregation.degree=4; want 0 without '
      'federated.secure_aggregation.enabled',
    ),
    (
      _config(
        {'enabled': False},
        {
          'mechanism': config.Mechanism.DISTRIBUTED,
          'central_noise_multiplier': 1.0,
        },
      ),
      "privacy.mechanism='distributed'; want independent or banded without",
    ),
  ],
)
def test_what_does_not_go_with_it_is_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(f'config.federated.{message}')
  assert '\n' not in str(caught.value)


def test_running_averages_would_be_sent_in_the_clear():
  cfg = _config(model={'norm': config.Norm.BATCH})
  with pytest.raises(config.ConfigError, match=r'config\.model\.ds2\.norm='):
    validation.validate(cfg)
  cfg.model.architecture = config.Architecture.DS1
  cfg.model.ds2 = config.DeepSpeech2Config()
  validation.validate(cfg)


@pytest.mark.parametrize(
  'cfg',
  [
    _config(),
    _config({'degree': 7}),
    _config({'degree': 4, 'threshold': 0.3}),
    _config(
      privacy={
        'clipping': config.Clipping.PER_LAYER,
        'mechanism': config.Mechanism.DISTRIBUTED,
        'central_noise_multiplier': 1.0,
      }
    ),
    _config(systems={'dropout': 0.2, 'num_drawn': 12}),
    _config(cohort_size=0),
  ],
)
def test_the_rest_does(cfg):
  validation.validate(cfg)
