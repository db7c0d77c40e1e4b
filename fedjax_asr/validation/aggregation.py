"""Whether a way of aggregation goes with the rest of a config."""

import math

from fedjax_asr import config
from fedjax_asr.validation import requirement

# Those of which a mean is all that the server needs. A robust rule gives no sum
# of what others send besides, and takes no weights, as those of staleness.
_AVERAGING = (
  config.AlgorithmName.FEDAVG,
  config.AlgorithmName.FEDSGD,
  config.AlgorithmName.FEDPROX,
  config.AlgorithmName.DITTO,
)


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` where it does not, or where a field is not read."""
  _check_unread(cfg)
  aggregation = cfg.federated.aggregation
  if aggregation.method is config.Aggregator.MEAN:
    return
  _check_alone(cfg)
  # An open one is settled, and then checked again.
  if cfg.federated.cohort_size:
    _check_cohort(cfg)


def _check_unread(cfg: config.Config) -> None:
  aggregation = cfg.federated.aggregation
  method = aggregation.method
  for name, is_read, condition in (
    (
      'trimmed_fraction',
      method is config.Aggregator.TRIMMED_MEAN,
      'method=trimmed_mean',
    ),
    ('num_byzantine', method is config.Aggregator.KRUM, 'method=krum'),
    ('num_selected', method is config.Aggregator.KRUM, 'method=krum'),
    ('over_bound', bool(aggregation.norm_bound), 'norm_bound'),
  ):
    requirement.read(
      cfg,
      f'federated.aggregation.{name}',
      is_read,
      f'federated.aggregation.{condition}',
    )


def _check_alone(cfg: config.Config) -> None:
  """With what only a weighted sum goes with."""
  federated = cfg.federated
  method = f'federated.aggregation.method={federated.aggregation.method}'
  requirement.require(
    cfg,
    'federated.algorithm',
    federated.algorithm in _AVERAGING,
    f'one of {", ".join(_AVERAGING)} with {method}; others need '
    'sums or weights',
  )
  requirement.require(
    cfg,
    'federated.weighting',
    federated.weighting is config.Weighting.UNIFORM,
    f'uniform with {method}, for which each client counts once',
  )
  requirement.require(
    cfg,
    'federated.privacy.central_noise_multiplier',
    not federated.privacy.central_noise_multiplier,
    f'0 with {method}: it is noise of a sum',
  )


def _check_cohort(cfg: config.Config) -> None:
  federated, aggregation = cfg.federated, cfg.federated.aggregation
  count = federated.cohort_size
  match aggregation.method:
    case config.Aggregator.TRIMMED_MEAN:
      requirement.require(
        cfg,
        'federated.aggregation.trimmed_fraction',
        math.floor(aggregation.trimmed_fraction * count + 1e-9) >= 1,
        f'a client or more of federated.cohort_size={count} at either end',
      )
    case config.Aggregator.KRUM:
      requirement.require(
        cfg,
        'federated.aggregation.num_byzantine',
        count > 2 * aggregation.num_byzantine + 2,
        f'less than (federated.cohort_size={count} - 2) / 2',
      )
      requirement.require(
        cfg,
        'federated.aggregation.num_selected',
        aggregation.num_selected <= count - aggregation.num_byzantine,
        f'at most {count - aggregation.num_byzantine}, federated.cohort_size '
        'without num_byzantine',
      )
