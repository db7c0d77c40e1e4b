"""What a private run guarantees each of its clients, after so many rounds.

Of the sum, which the server publishes after its noise, by Renyi differential
privacy and by privacy loss distributions (dp-accounting), whichever is lower
holds. Neighbours are populations that differ by one client's presence; with
fixed-size sampling by what one client says, for which noise counts half
(`jax_privacy.accounting` has the same reduction). Of banded noise by the
reduction of Choquette-Choo et al. 2023 (arXiv 2306.08153, Theorem 4): a client
has a chance in one of `period` rounds, and each time the noise of its own.

By hand, because the libraries' accountants compose anew from the first round
each time: a loss distribution goes on from round to round.
"""

import contextlib
import math
import typing
from collections.abc import Callable, Iterator
from typing import NamedTuple

import dp_accounting
import numpy as np
from absl import logging
from dp_accounting import rdp
from dp_accounting.pld import privacy_loss_distribution as pld
from scipy import optimize, stats

from fedjax_asr import config
from fedjax_asr.federated import sampling

# Noise below which a loss distribution has more points than memory, and epsilon
# says nothing: by Renyi divergence it is in the hundreds.
_LEAST_NOISE = 0.1
# Points of a loss distribution of one round, about.
_NUM_POINTS = 3e5
_FINEST = 1e-4
_MOST_NOISE = 1e4
# A mu is held to what the curve says above this delta: loss distributions are
# cut in their tails.
_LEAST_DELTA = 1e-9
_ORDERS = (1.1, 1.2, 1.3, *np.arange(1.5, 11, 0.25), *range(11, 64), 128, 256)


class Mechanism(NamedTuple):
  """What the rounds of a run do, as far as privacy goes by it.

  noise_multiplier: deviation of the noise over what one client may move.
  rate: the probability that a client is in a round in which it may be.
  period: rounds from one such round to the next.
  group_size: clients that may be in a round.
  places: clients that are in a round at most.
  overflow: the probability that a round left some out.
  """

  noise_multiplier: float
  rate: float
  period: int
  group_size: int
  places: int
  overflow: float


class Guarantee(NamedTuple):
  """After some rounds. Of epsilons, None where a method gives none."""

  epsilon_rdp: float | None
  epsilon_pld: float | None


class Curve(NamedTuple):
  """The whole of a guarantee, of which an epsilon is one point.

  mu: of Gaussian differential privacy (Dong et al. 2019), the least whose
    trade-off is as bad as this one's at every point with a delta above 1e-9.
  tpr: of any attack that tells members from others, the share of members that
    it finds at most while it is wrong about 1% of the others.
  """

  mu: float
  tpr: float


def of_config(federated: config.FederatedConfig, num_clients: int) -> Mechanism:
  """Of the server's noise; `num_clients` are in the population."""
  noise = federated.privacy.central_noise_multiplier
  if federated.sampling is config.Sampling.FIXED:
    noise /= 2
  return Mechanism(
    noise_multiplier=noise,
    rate=sampling.rate(federated, num_clients),
    period=federated.privacy.period,
    group_size=sampling.group_size(federated, num_clients),
    places=sampling.places(federated, num_clients),
    overflow=sampling.overflow(federated, num_clients),
  )


def extrapolated(
  mechanism: Mechanism, cohort_size: int, privacy: config.PrivacyConfig
) -> Mechanism:
  """Of `privacy.population` clients in place of those that there are.

  Where a round expects more of them, noise on the sum is as much more, so that
  noise on the mean is the same (Pelikan et al. 2023, arXiv 2310.00098). There
  is room for all that are drawn.
  """
  cohort = privacy.population_cohort or cohort_size
  group = privacy.population // mechanism.period
  return Mechanism(
    noise_multiplier=mechanism.noise_multiplier * cohort / cohort_size,
    rate=cohort / group,
    period=mechanism.period,
    group_size=group,
    places=group,
    overflow=0.0,
  )


def multiplier_of_target(
  federated: config.FederatedConfig, num_clients: int
) -> float:
  """The `central_noise_multiplier` that spends `target_epsilon`.

  Of `privacy.population` where that is given.
  """
  privacy = federated.privacy
  own = of_config(federated, num_clients)
  mechanism = own
  if privacy.population:
    mechanism = extrapolated(own, federated.cohort_size, privacy)
  found = noise_multiplier(
    mechanism, federated.num_rounds, privacy.target_epsilon, privacy.delta
  )
  if privacy.population_cohort:
    found *= federated.cohort_size / privacy.population_cohort
  return found * (2 if federated.sampling is config.Sampling.FIXED else 1)


class Accountant:
  """Epsilons of one mechanism, round after round."""

  def __init__(self, mechanism: Mechanism, delta: float):
    self._mechanism = mechanism
    self._delta = delta
    self._renyi = rdp.RdpAccountant(_ORDERS)
    self._num_composed = 0
    self._one = _loss_distribution(mechanism)
    self._composed = self._one
    self._count = 1

  def after(self, num_rounds: int) -> Guarantee:
    """Of so many rounds, in each of which it holds for every client."""
    count = -(-num_rounds // self._mechanism.period)
    if not count:
      return Guarantee(0.0, 0.0)
    return Guarantee(self._by_renyi(count, num_rounds), self._by_loss(count))

  def curve(self, num_rounds: int) -> Curve | None:
    """None where no loss distribution is known."""
    if not num_rounds:
      return None
    composed = self._composition(-(-num_rounds // self._mechanism.period))
    if composed is None:
      return None
    return Curve(_mu(composed), _tpr(composed, 0.01))

  def _by_renyi(self, count: int, num_rounds: int) -> float | None:
    """A round that leaves clients out is, but for so much, one that does not:
    what (1 + e^epsilon) times that probability takes of delta is not there."""
    self._compose_renyi(count)
    overflow = num_rounds * self._mechanism.overflow
    lost = 0.0
    while lost < self._delta:
      epsilon = self._renyi.get_epsilon(self._delta - lost)
      more = overflow * (1 + math.exp(min(epsilon, 500.0)))
      if more <= lost * (1 + 1e-6):
        return float(epsilon)
      lost = more
    return None

  def _compose_renyi(self, count: int) -> None:
    """Up to so many; anew where there are more already."""
    if count < self._num_composed:
      self._renyi, self._num_composed = rdp.RdpAccountant(_ORDERS), 0
    more = count - self._num_composed
    if more:
      noise = dp_accounting.GaussianDpEvent(self._mechanism.noise_multiplier)
      event = dp_accounting.PoissonSampledDpEvent(self._mechanism.rate, noise)
      with _quiet():
        self._renyi.compose(event, more)
    self._num_composed = count

  def _by_loss(self, count: int) -> float | None:
    composed = self._composition(count)
    if composed is None:
      return None
    epsilon = composed.get_epsilon_for_delta(self._delta)
    return float(epsilon) if math.isfinite(epsilon) else None

  def _composition(self, count: int) -> pld.PrivacyLossDistribution | None:
    """Of the round before, and one more; anew where that is not at hand."""
    one, before = self._one, self._composed
    if one is None or before is None:
      return None
    if count == self._count + 1:
      self._composed = before.compose(one)
    elif count != self._count:
      self._composed = one.self_compose(count)
    self._count = count
    return self._composed


def _loss_distribution(
  mechanism: Mechanism,
) -> pld.PrivacyLossDistribution | None:
  """Of one round; pessimistic: what follows from it is an upper bound."""
  noise = mechanism.noise_multiplier
  if noise < _LEAST_NOISE:
    return None
  reach = 1 / (2 * noise**2) + 10 / noise
  interval = max(_FINEST, reach / _NUM_POINTS)
  if not mechanism.overflow:
    return pld.from_gaussian_mechanism(
      noise,
      sampling_prob=mechanism.rate,
      value_discretization_interval=interval,
    )
  return pld.from_truncated_subsampled_gaussian_mechanism(
    dataset_size=mechanism.group_size,
    sampling_probability=mechanism.rate,
    truncated_batch_size=mechanism.places,
    noise_multiplier=noise,
    value_discretization_interval=interval,
  )


def noise_multiplier(
  mechanism: Mechanism, num_rounds: int, epsilon: float, delta: float
) -> float:
  """The least that keeps to (epsilon, delta), to three digits.

  Raises:
    config.ConfigError: none does.
  """
  count = -(-num_rounds // mechanism.period)

  def excess(noise):
    one = _loss_distribution(mechanism._replace(noise_multiplier=noise))
    if one is None:
      return math.inf
    return one.self_compose(count).get_epsilon_for_delta(delta) - epsilon

  low = high = max(_by_limit(mechanism.rate, count, epsilon, delta), 0.2)
  while high < _MOST_NOISE and excess(high) > 0:
    low, high = high, 1.2 * high
  if high >= _MOST_NOISE:
    raise config.ConfigError(
      f'config.federated.privacy.target_epsilon={epsilon:g}; no noise up to '
      f'{_MOST_NOISE:g} times the norm reaches it at delta={delta:g} in '
      f'{num_rounds} rounds; want a larger one, or fewer rounds.'
    )
  while excess(low) <= 0:
    low, high = low / 1.2, low
  # Of the root, the side on which the target is kept.
  return root(excess, low, high, 1e-4) * (1 + 2e-4)


def _by_limit(rate: float, count: int, epsilon: float, delta: float) -> float:
  """About how much noise, by the limit of many rounds (Bu et al. 2020,
  arXiv 1911.11607): mu = rate sqrt(count (exp(1 / noise^2) - 1))."""
  mu = root(lambda mu: gaussian_delta(mu, epsilon) - delta, 1e-6, 1e3)
  return math.log1p((mu / rate) ** 2 / count) ** -0.5


def local_epsilon(
  local_noise_multiplier: float, num_rounds: int, delta: float
) -> float:
  """Of a client that sent in so many rounds, against whoever saw all of it.

  Any two updates of it are twice the norm apart at most; Gaussian mechanisms
  compose to one (Dong et al. 2019, Corollary 3.3).
  """
  if not num_rounds:
    return 0.0
  noise = local_noise_multiplier / (2 * math.sqrt(num_rounds))
  return float(dp_accounting.get_epsilon_gaussian(noise, delta))


def _mu(composed: pld.PrivacyLossDistribution) -> float:
  """By hand: riskcal has it for mechanisms of its own making only."""
  most = composed.get_epsilon_for_delta(_LEAST_DELTA)
  if not math.isfinite(most):
    return math.inf
  epsilons = np.linspace(0.0, most, 200)
  deltas = _deltas(composed, epsilons)
  return max(
    _gaussian_mu(epsilon, delta)
    for epsilon, delta in zip(epsilons, deltas, strict=True)
    if delta >= _LEAST_DELTA
  )


def gaussian_delta(mu: float, epsilon: float) -> float:
  """Of mu-Gaussian differential privacy (Dong et al. 2019, Corollary 2.13)."""
  first = stats.norm.cdf(-epsilon / mu + mu / 2)
  second = np.exp(epsilon + stats.norm.logcdf(-epsilon / mu - mu / 2))
  return float(first - second)


def _gaussian_mu(epsilon: float, delta: float) -> float:
  """The least mu with such a point on its curve, or above it."""
  high = 1.0
  while gaussian_delta(high, epsilon) < delta:
    high *= 2
    if high > 1e4:
      return math.inf
  return root(lambda mu: gaussian_delta(mu, epsilon) - delta, 1e-6, high)


def root(
  function: Callable[[float], float],
  low: float,
  high: float,
  tolerance: float = 1e-12,
) -> float:
  """Where a function changes its sign."""
  found = optimize.brentq(function, low, high, rtol=np.float64(tolerance))
  return typing.cast(float, found)


def _deltas(
  composed: pld.PrivacyLossDistribution, epsilons: np.ndarray
) -> np.ndarray:
  return np.asarray(composed.get_delta_for_epsilon(epsilons.tolist()))


def _tpr(composed: pld.PrivacyLossDistribution, fpr: float) -> float:
  """By (epsilon, delta) at each epsilon: TPR <= e^epsilon FPR + delta."""
  epsilons = np.linspace(0.0, -math.log(fpr), 500)
  deltas = _deltas(composed, epsilons)
  return float(min(1.0, (np.exp(epsilons) * fpr + deltas).min()))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Orders at which a series does not converge are left out, and nobody needs
  to be warned."""
  before = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(before)
