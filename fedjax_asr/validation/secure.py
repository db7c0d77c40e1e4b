"""What secure aggregation goes with: sums of updates, each of weight 1."""

import math

from fedjax_asr import config
from fedjax_asr.validation import requirement

# Those that send an update, and nothing that depends on all.
_ALGORITHMS = (
  config.AlgorithmName.FEDAVG,
  config.AlgorithmName.FEDSGD,
  config.AlgorithmName.FEDPROX,
  config.AlgorithmName.DITTO,
)


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` where it does not, or where a field is not read."""
  federated = cfg.federated
  is_enabled = federated.secure_aggregation.enabled
  for name in ('degree', 'threshold'):
    requirement.read(
      cfg,
      f'federated.secure_aggregation.{name}',
      is_enabled,
      'federated.secure_aggregation.enabled',
    )
  requirement.require(
    cfg,
    'federated.privacy.mechanism',
    is_enabled
    or federated.privacy.mechanism is not config.Mechanism.DISTRIBUTED,
    'independent or banded without federated.secure_aggregation.enabled, in '
    'whose sums clients add the noise',
  )
  if not is_enabled:
    return
  _check_update(cfg)
  _check_server(cfg)
  # An open one is settled, and then checked again.
  if federated.cohort_size:
    _check_drawn(cfg)


_WITH = 'with federated.secure_aggregation.enabled'


def _check_update(cfg: config.Config) -> None:
  """What a client sends is one clipped update, and its weight is known."""
  federated, privacy = cfg.federated, cfg.federated.privacy
  for path, met, wanted in (
    (
      'federated.privacy.clip_norm',
      bool(privacy.clip_norm),
      f'a number above 0 {_WITH}, by which updates become integers',
    ),
    (
      'federated.privacy.clipping',
      privacy.clipping is not config.Clipping.ADAPTIVE,
      f'flat or per_layer {_WITH}: integers go by one norm',
    ),
    (
      'federated.privacy.local_noise_multiplier',
      not privacy.local_noise_multiplier,
      f'0 {_WITH}: integers have no room for it; want '
      'privacy.mechanism=distributed',
    ),
    (
      'federated.weighting',
      federated.weighting is config.Weighting.UNIFORM,
      f'uniform {_WITH}: the server knows how many send and not with what',
    ),
    (
      'federated.algorithm',
      federated.algorithm in _ALGORITHMS,
      f'one of {", ".join(_ALGORITHMS)} {_WITH}, whose clients send an update '
      'and nothing besides',
    ),
    (
      'federated.compression.method',
      federated.compression.method is config.Compression.NONE,
      f'none {_WITH}: a sum of codes is no code',
    ),
  ):
    requirement.require(cfg, path, met, wanted)
  is_ds2 = cfg.model.architecture is config.Architecture.DS2
  requirement.require(
    cfg,
    'model.ds2.norm',
    not is_ds2 or cfg.model.ds2.norm is not config.Norm.BATCH,
    f'layer or another norm without running averages {_WITH}, which would be '
    'sent in the clear',
  )


def _check_server(cfg: config.Config) -> None:
  """A server that sees a sum judges no client."""
  federated, aggregation = cfg.federated, cfg.federated.aggregation
  requirement.require(
    cfg,
    'federated.aggregation.method',
    aggregation.method is config.Aggregator.MEAN,
    f'mean {_WITH}: other rules look at each update',
  )
  requirement.require(
    cfg,
    'federated.aggregation.norm_bound',
    not aggregation.norm_bound,
    f'0 {_WITH}: the server sees no update to bound',
  )
  requirement.require(
    cfg,
    'federated.sampling',
    federated.sampling is config.Sampling.FIXED,
    f'fixed {_WITH}: whether a round has enough clients is seen by all',
  )


def _check_drawn(cfg: config.Config) -> None:
  federated, settings = cfg.federated, cfg.federated.secure_aggregation
  size, drawn = 'cohort_size', federated.cohort_size
  if federated.systems.num_drawn:
    size, drawn = 'systems.num_drawn', federated.systems.num_drawn
  requirement.require(
    cfg,
    'federated.cohort_size',
    federated.cohort_size >= 2,
    f'2 or more {_WITH}: a sum of one hides nothing',
  )
  least = math.floor(settings.threshold * drawn) + 1
  requirement.require(
    cfg,
    'federated.secure_aggregation.threshold',
    least <= federated.cohort_size,
    f'less than federated.cohort_size={federated.cohort_size} of '
    f'federated.{size}={drawn}, or no round would have enough',
  )
  requirement.require(
    cfg,
    'federated.secure_aggregation.degree',
    settings.degree % 2 == 0 or settings.degree >= drawn - 1,
    f'an even number, or all others of federated.{size}={drawn}',
  )
