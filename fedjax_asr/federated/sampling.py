"""Which clients are in a round, of all that there are.

A function of (secret, round), so that a run that goes on draws what it would
have drawn. Poisson sampling, cut at a size, is jax-privacy's; that of banded
noise takes turns over groups, so that no client is in two rounds that are less
than the number of bands apart.
"""

import numpy as np
from jaxtyping import Int
from scipy import stats

from fedjax_asr import config, streams
from fedjax_asr.federated import secret as secret_lib

# Of a round, that Poisson sampling finds more clients than there is room for.
_OVERFLOW = 1e-15


def is_needed(federated: config.FederatedConfig) -> bool:
  """Whether clients are drawn otherwise than by the run's seed alone."""
  is_poisson = federated.sampling is config.Sampling.POISSON
  return is_poisson or federated.privacy.has_noise


def group_size(federated: config.FederatedConfig, num_clients: int) -> int:
  """Clients that may be drawn in one round; what is left over never is."""
  return num_clients // federated.privacy.period


def rate(federated: config.FederatedConfig, num_clients: int) -> float:
  """The probability of one that may be drawn."""
  return federated.cohort_size / group_size(federated, num_clients)


def places(federated: config.FederatedConfig, num_clients: int) -> int:
  """Clients of a round at most: those beyond are left out, at random."""
  if federated.sampling is config.Sampling.FIXED:
    return federated.cohort_size
  eligible = group_size(federated, num_clients)
  most = federated.privacy.max_cohort or int(
    stats.binom.isf(_OVERFLOW, eligible, rate(federated, num_clients))
  )
  return max(min(most, eligible), 1)


def overflow(federated: config.FederatedConfig, num_clients: int) -> float:
  """The probability that a round leaves clients out."""
  if federated.sampling is config.Sampling.FIXED:
    return 0.0
  return float(
    stats.binom.sf(
      places(federated, num_clients),
      group_size(federated, num_clients),
      rate(federated, num_clients),
    )
  )


def check(federated: config.FederatedConfig, num_clients: int) -> None:
  """Raises `ConfigError` where a population cannot be sampled so."""
  turns = federated.privacy.period
  eligible = group_size(federated, num_clients)
  if federated.cohort_size > eligible:
    raise config.ConfigError(
      f'config.federated.cohort_size={federated.cohort_size}; want at most '
      f'{eligible}: of {num_clients} clients, one in '
      f'federated.privacy.num_bands={turns} may be in a round.'
    )
  most = federated.privacy.max_cohort
  if most and most < federated.cohort_size:
    raise config.ConfigError(
      f'config.federated.privacy.max_cohort={most}; want at least '
      f'federated.cohort_size={federated.cohort_size}, which are expected.'
    )


def drawn(
  federated: config.FederatedConfig,
  num_clients: int,
  secret: secret_lib.Secret,
  round_index: int,
) -> Int[np.ndarray, ' clients']:
  """The clients of a round, in no order; possibly none."""
  # Not on top: with it comes an accountant that takes a second to import.
  from jax_privacy import batch_selection

  stream = streams.Stream.PRIVATE_COHORT
  rng = streams.rng(secret.high, stream, secret.low, round_index)
  if federated.sampling is config.Sampling.FIXED:
    return rng.choice(num_clients, federated.cohort_size, replace=False)
  group = _group(federated, num_clients, secret, round_index)
  strategy = batch_selection.CyclicPoissonSampling(
    sampling_prob=rate(federated, num_clients),
    iterations=1,
    truncated_batch_size=places(federated, num_clients),
  )
  (chosen,) = strategy.batch_iterator(len(group), rng)
  return group[chosen]


def _group(
  federated: config.FederatedConfig,
  num_clients: int,
  secret: secret_lib.Secret,
  round_index: int,
) -> Int[np.ndarray, ' clients']:
  """Who may be drawn in the round: everybody, or those whose turn it is."""
  turns = federated.privacy.period
  if turns == 1:
    return np.arange(num_clients)
  rng = streams.rng(secret.high, streams.Stream.SAMPLING_GROUPS, secret.low)
  size = group_size(federated, num_clients)
  start = round_index % turns * size
  return rng.permutation(num_clients)[start : start + size]
