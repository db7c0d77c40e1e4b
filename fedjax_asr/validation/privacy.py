"""Whether what a config promises of privacy can be kept."""

import math

from fedjax_asr import config
from fedjax_asr.validation import requirement

# Rounded or scaled numbers may be larger; sign and top_k never lengthen an
# update.
_LENGTHENING = (
  config.Compression.FLOAT16,
  config.Compression.BFLOAT16,
  config.Compression.INT8,
  config.Compression.QUANTIZED,
  config.Compression.RANDOM_K,
)
_NOISES = ('local_noise_multiplier', 'central_noise_multiplier')


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` where it cannot, or where a field is not read."""
  _check_unread(cfg)
  _check_clipping(cfg)
  _check_sampling(cfg)
  if cfg.federated.privacy.has_noise:
    _check_all_is_covered(cfg)
  if cfg.federated.privacy.is_central:
    _check_sum(cfg)


def _noisy(cfg: config.Config) -> str:
  """The field by which there is noise, that of the sum before clients'."""
  privacy = cfg.federated.privacy
  for name in ('central_noise_multiplier', 'target_epsilon'):
    if getattr(privacy, name):
      return f'federated.privacy.{name}'
  return 'federated.privacy.local_noise_multiplier'


def _check_unread(cfg: config.Config) -> None:
  federated, privacy = cfg.federated, cfg.federated.privacy
  kind, has_noise = privacy.clipping, federated.privacy.has_noise
  is_adaptive = kind is config.Clipping.ADAPTIVE
  for name, is_read, reader in (
    ('clipping', bool(privacy.clip_norm), 'clip_norm'),
    ('layer_bounds', kind is config.Clipping.PER_LAYER, 'clipping=per_layer'),
    ('quantile', is_adaptive, 'clipping=adaptive'),
    ('quantile_learning_rate', is_adaptive, 'clipping=adaptive'),
    (
      'count_noise',
      is_adaptive and cfg.federated.privacy.is_central,
      'clipping=adaptive and noise',
    ),
    ('delta', has_noise, 'noise'),
    ('mechanism', cfg.federated.privacy.is_central, 'central_noise_multiplier'),
    (
      'num_bands',
      privacy.mechanism is config.Mechanism.BANDED,
      'mechanism=banded',
    ),
    (
      'population',
      cfg.federated.privacy.is_central,
      'central_noise_multiplier',
    ),
    ('population_cohort', bool(privacy.population), 'population'),
    ('noise_seed', has_noise, 'noise'),
  ):
    requirement.read(
      cfg,
      f'federated.privacy.{name}',
      is_read,
      f'federated.privacy.{reader}' if reader != 'noise' else reader,
    )
  requirement.read(
    cfg,
    'federated.privacy.max_cohort',
    federated.sampling is config.Sampling.POISSON,
    'federated.sampling=poisson',
  )


def _check_clipping(cfg: config.Config) -> None:
  privacy = cfg.federated.privacy
  for name in (*_NOISES, 'target_epsilon'):
    requirement.require(
      cfg,
      f'federated.privacy.{name}',
      not getattr(privacy, name) or bool(privacy.clip_norm),
      '0 without a federated.privacy.clip_norm, of which noise is a multiple',
    )
  if privacy.clipping is not config.Clipping.ADAPTIVE:
    return
  requirement.require(
    cfg,
    'federated.privacy.local_noise_multiplier',
    not privacy.local_noise_multiplier,
    '0 with federated.privacy.clipping=adaptive, for which clients say in the '
    'clear whether they were clipped',
  )
  requirement.require(
    cfg,
    'federated.aggregation.method',
    cfg.federated.aggregation.method is config.Aggregator.MEAN,
    'mean with federated.privacy.clipping=adaptive, which counts clients',
  )
  requirement.require(
    cfg,
    'federated.privacy.mechanism',
    privacy.mechanism is config.Mechanism.INDEPENDENT,
    'independent with federated.privacy.clipping=adaptive: noise that one '
    'round takes back from another is of one norm',
  )
  if privacy.central_noise_multiplier and cfg.federated.cohort_size:
    count = privacy.count_deviation(cfg.federated.cohort_size)
    requirement.require(
      cfg,
      'federated.privacy.count_noise',
      2 * count > privacy.central_noise_multiplier,
      f'more than {privacy.central_noise_multiplier / 2:g} clients (over '
      f'federated.cohort_size={cfg.federated.cohort_size}), or the count alone '
      'gives away what federated.privacy.central_noise_multiplier allows',
    )


def _check_sampling(cfg: config.Config) -> None:
  federated, privacy = cfg.federated, cfg.federated.privacy
  is_poisson = federated.sampling is config.Sampling.POISSON
  requirement.require(
    cfg,
    'federated.systems.speeds',
    not (is_poisson or federated.privacy.has_noise)
    or federated.systems.speeds is config.Speeds.NONE,
    'none with federated.sampling=poisson or noise: who comes first is not '
    'sampled',
  )
  requirement.require(
    cfg,
    'federated.systems.num_drawn',
    not (is_poisson or federated.privacy.has_noise)
    or not federated.systems.num_drawn,
    '0 with federated.sampling=poisson or noise: who comes first is not '
    'sampled',
  )
  is_distributed = privacy.mechanism is config.Mechanism.DISTRIBUTED
  for name in ('target_epsilon', 'population'):
    requirement.require(
      cfg,
      f'federated.privacy.{name}',
      not is_distributed or not getattr(privacy, name),
      '0 with federated.privacy.mechanism=distributed, whose accountant knows '
      'no sampling',
    )
  if privacy.mechanism is not config.Mechanism.BANDED:
    return
  requirement.require(
    cfg,
    'federated.sampling',
    is_poisson,
    'poisson with federated.privacy.mechanism=banded, which keeps a client '
    'federated.privacy.num_bands rounds apart from itself',
  )
  requirement.require(
    cfg,
    'federated.privacy.num_bands',
    2 <= privacy.num_bands <= (federated.num_rounds or math.inf),
    f'2 to federated.num_rounds={federated.num_rounds} for '
    'federated.privacy.mechanism=banded',
  )


def _check_all_is_covered(cfg: config.Config) -> None:
  """Nothing of a client is used or sent but what there is noise on."""
  noisy = _noisy(cfg)
  requirement.require(
    cfg,
    'model.ds2.norm',
    cfg.model.architecture is not config.Architecture.DS2
    or cfg.model.ds2.norm is not config.Norm.BATCH,
    f'layer, group or none with {noisy}: running averages of batch norm are '
    'sent in the clear',
  )
  requirement.require(
    cfg,
    'features.normalization',
    not cfg.features.normalization.has_statistics,
    f"utterance or none with {noisy}: a mean of all clients' speech is a "
    'release of its own',
  )
  requirement.require(
    cfg,
    'data.alphabet',
    cfg.data.alphabet != 'corpus',
    f'english or a file with {noisy}: which characters anybody said is a '
    'release of its own',
  )
  requirement.require(
    cfg,
    'recovery.max_rollbacks',
    not cfg.recovery.max_rollbacks,
    f'0 with {noisy}: a round that is trained anew would have the same noise',
  )
  requirement.require(
    cfg,
    'federated.algorithm',
    cfg.federated.algorithm is not config.AlgorithmName.FEDBUFF,
    f'another with {noisy}: who is in a buffer is not sampled',
  )


def _check_sum(cfg: config.Config) -> None:
  """One client may move what there is noise on by clip_norm at most."""
  federated, privacy = cfg.federated, cfg.federated.privacy
  noisy = _noisy(cfg)
  requirement.require(
    cfg,
    'federated.weighting',
    federated.weighting is config.Weighting.UNIFORM,
    f'uniform with {noisy}: a client may move the sum by clip_norm at most',
  )
  requirement.require(
    cfg,
    'federated.compression.method',
    federated.compression.method not in _LENGTHENING,
    f'none, sign or top_k with {noisy}: an update may exceed clip_norm once it '
    'is rounded',
  )
  has_both = bool(privacy.local_noise_multiplier)
  requirement.require(
    cfg,
    'federated.privacy.local_noise_multiplier',
    not has_both or federated.sampling is config.Sampling.FIXED,
    f'0 with {noisy} and federated.sampling=poisson: noise of its own gives '
    'away that a client came',
  )
  requirement.require(
    cfg,
    'federated.privacy.local_noise_multiplier',
    not has_both or federated.compression.method is config.Compression.NONE,
    f'0 with {noisy} and a federated.compression.method: the code of an update '
    'with noise may exceed clip_norm',
  )
  requirement.require(
    cfg,
    'federated.privacy.population',
    not privacy.population
    or privacy.population
    >= (privacy.population_cohort or federated.cohort_size) * privacy.period,
    'at least the cohort that a round expects of it, for each band of noise',
  )
