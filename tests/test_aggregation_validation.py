"""Which ways of aggregation go with the rest of a config."""

import pytest

from fedjax_asr import config, validation


def _aggregation(method='mean', cohort_size=8, **fields):
  """Of so many clients with equal weights."""
  return config.Config(
    federated=config.FederatedConfig(
      cohort_size=cohort_size,
      weighting=config.Weighting.UNIFORM,
      aggregation=config.AggregationConfig(
        method=config.Aggregator(method), **fields
      ),
    )
  )


def _with(cfg, **fields):
  for name, value in fields.items():
    setattr(cfg.federated, name, value)
  return cfg


_NOISED = config.PrivacyConfig(clip_norm=1.0, central_noise_multiplier=0.1)


@pytest.mark.parametrize(
  ('cfg', 'message'),
  [
    (
      _aggregation('krum', 6, num_byzantine=2),
      'aggregation.num_byzantine=2; want less than (federated.cohort_size=6 - '
      '2) / 2.',
    ),
    (
      _aggregation('krum', 8, num_byzantine=2, num_selected=7),
      'aggregation.num_selected=7; want at most 6, ',
    ),
    (
      _aggregation('trimmed_mean', trimmed_fraction=0.5),
      'aggregation.trimmed_fraction=0.5; want > 0 and < 0.5.',
    ),
    (
      _aggregation('trimmed_mean', trimmed_fraction=0.1),
      'aggregation.trimmed_fraction=0.1; want a client or more of',
    ),
    (
      _aggregation('median', trimmed_fraction=0.3),
      'aggregation.trimmed_fraction=0.3; want 0.2 without federated.aggregat',
    ),
    (
      _aggregation('median', num_byzantine=2),
      'aggregation.num_byzantine=2; want 1 without federated.aggregation.meth',
    ),
    (
      _aggregation(num_selected=2),
      'aggregation.num_selected=2; want 1 without',
    ),
    (
      _aggregation(over_bound=config.OverBound.LEFT_OUT),
      "aggregation.over_bound='left_out'; want 'scaled' without",
    ),
    (
      _with(
        _aggregation('median'),
        algorithm=config.AlgorithmName.FEDBUFF,
        systems=config.SystemsConfig(speeds=config.Speeds.LOG_NORMAL),
      ),
      "algorithm='fedbuff'; want one of fedavg, fedsgd, fedprox, ditto with",
    ),
    (
      _with(_aggregation('median'), weighting=config.Weighting.FRAMES),
      "weighting='frames'; want uniform with",
    ),
    (
      _with(_aggregation('median'), privacy=_NOISED),
      'privacy.central_noise_multiplier=0.1; want 0 with',
    ),
  ],
)
def test_aggregation_that_cannot_work_is_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(f'config.federated.{message}')


@pytest.mark.parametrize(
  'cfg',
  [
    _aggregation('median'),
    _aggregation('trimmed_mean', trimmed_fraction=0.125),
    _aggregation('krum', 7, num_byzantine=2, num_selected=5),
    # A cohort that the corpus decides is checked once it is known.
    _aggregation('krum', 0, num_byzantine=9),
    _aggregation(norm_bound=1.0, over_bound=config.OverBound.LEFT_OUT),
    _with(
      _aggregation('median', norm_bound=1.0),
      algorithm=config.AlgorithmName.FEDSGD,
      privacy=config.PrivacyConfig(clip_norm=1.0, local_noise_multiplier=0.1),
    ),
  ],
)
def test_other_aggregation_does(cfg):
  validation.validate(cfg)
