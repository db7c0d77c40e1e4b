"""What a private run guarantees each of its clients, after so many rounds.

Of the sum, which the server publishes after its noise, by Renyi differential
privacy and by privacy loss distributions (dp-accounting), whichever is lower
holds. How many clients there are is public. Neighbours are populations in which
one of them has its speech and in which it never sends; with fixed-size sampling
in which it has other speech, which moves a sum by twice the norm. Of banded
noise by the reduction of Choquette-Choo et al. 2023 (arXiv 2306.08153, Theorem
4): a client has a chance in one of `period` rounds, and each time the noise of
its own.

By hand, because the libraries' accountants compose anew from the first round
each time, and have no loss distribution of a fixed-size sample.
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
from dp_accounting.pld import pld_pmf
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
# Rounds after which a composition begins anew from the first.
_STRIDE = 16
_ORDERS = (1.1, 1.2, 1.3, *np.arange(1.5, 11, 0.25), *range(11, 64), 128, 256)


class Mechanism(NamedTuple):
  """What the rounds of a run do, as far as privacy goes by it.

  noise_multiplier: deviation of the noise over what one client may move.
  rate: the probability that a client is in a round in which it may be.
  period: rounds from one such round to the next.
  group_size: clients that may be in a round.
  places: clients that are in a round at most.
  overflow: the probability that a round left some out.
  is_fixed: a round has always as many clients, and neighbours differ by what
    one of them says; else each comes by itself, and they differ by whether.
  """

  noise_multiplier: float
  rate: float
  period: int
  group_size: int
  places: int
  overflow: float
  is_fixed: bool = False


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
  is_fixed = federated.sampling is config.Sampling.FIXED
  return Mechanism(
    noise_multiplier=noise / 2 if is_fixed else noise,
    rate=sampling.rate(federated, num_clients),
    period=federated.privacy.period,
    group_size=sampling.group_size(federated, num_clients),
    places=sampling.places(federated, num_clients),
    overflow=sampling.overflow(federated, num_clients),
    is_fixed=is_fixed,
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
    is_fixed=mechanism.is_fixed,
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
  """Epsilons of one mechanism: of so many rounds, whatever it was asked before.

  To the last bit, so that a run that goes on tells what it would have told.
  """

  def __init__(self, mechanism: Mechanism, delta: float):
    self._mechanism = mechanism
    self._delta = delta
    self._renyi = _renyi_divergences(mechanism)
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
    overflow = num_rounds * self._mechanism.overflow
    divergences = (count * self._renyi).tolist()
    lost = 0.0
    while lost < self._delta:
      epsilon, _ = rdp.compute_epsilon(_ORDERS, divergences, self._delta - lost)
      more = overflow * (1 + math.exp(min(epsilon, 500.0)))
      if more <= lost * (1 + 1e-6):
        return float(epsilon)
      lost = more
    return None

  def _by_loss(self, count: int) -> float | None:
    composed = self._composition(count)
    if composed is None:
      return None
    epsilon = composed.get_epsilon_for_delta(self._delta)
    return float(epsilon) if math.isfinite(epsilon) else None

  def _composition(self, count: int) -> pld.PrivacyLossDistribution | None:
    """From the last multiple of the stride on, round by round."""
    one, composed = self._one, self._composed
    if one is None or composed is None:
      return None
    first = max(count - count % _STRIDE, 1)
    if not first <= self._count <= count:
      composed = one if first == 1 else one.self_compose(first)
      self._count = first
    while self._count < count:
      composed = composed.compose(one)
      self._count += 1
    self._composed = composed
    return composed


def _renyi_divergences(mechanism: Mechanism) -> np.ndarray:
  """Of one round, by order."""
  noise = dp_accounting.GaussianDpEvent(mechanism.noise_multiplier)
  relation = dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE
  event = dp_accounting.PoissonSampledDpEvent(mechanism.rate, noise)
  if mechanism.is_fixed:
    # Wang, Balle and Kasiviswanathan 2019 (arXiv 1808.00087), Theorem 27.
    relation = dp_accounting.NeighboringRelation.REPLACE_ONE
    size = round(mechanism.rate * mechanism.group_size)
    event = dp_accounting.SampledWithoutReplacementDpEvent(
      mechanism.group_size, size, noise
    )
  books = rdp.RdpAccountant(_ORDERS, relation)
  with _quiet():
    books.compose(event)
  return books.rdp


def _loss_distribution(
  mechanism: Mechanism,
) -> pld.PrivacyLossDistribution | None:
  """Of one round; pessimistic: what follows from it is an upper bound."""
  noise = mechanism.noise_multiplier
  if noise < _LEAST_NOISE:
    return None
  reach = 1 / (2 * noise**2) + 10 / noise
  interval = max(_FINEST, reach / _NUM_POINTS)
  if mechanism.is_fixed:
    return _of_fixed_size(noise, mechanism.rate, reach, interval)
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


def _of_fixed_size(
  noise: float, rate: float, reach: float, interval: float
) -> pld.PrivacyLossDistribution:
  """Of a sample without replacement, of which one client says something else.

  Zhu, Dong and Wang 2022 (arXiv 2106.08567), Theorem 11: hockey-stick
  divergences are those of a Poisson sample that loses a client above epsilon 0,
  and of one that gains it below. One distribution has to have both: of two that
  are composed apart the larger epsilon is no bound.
  """
  number = math.ceil(reach / interval)
  epsilons = interval * np.arange(number + 1)
  own = np.log1p(np.expm1(epsilons) / rate)
  above = rate * gaussian_deltas(1 / noise, own)
  below = above * np.exp(-epsilons) - np.expm1(-epsilons)
  deltas = np.clip(np.concatenate([below[:0:-1], above]), 0.0, 1.0)
  pmf = pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(
    interval, -number, number, np.maximum.accumulate(deltas[::-1])[::-1]
  )
  return pld.PrivacyLossDistribution(pmf)


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
  found = root(excess, low, high, 1e-4)
  # Of the root, the side on which the target is kept.
  while excess(found) > 0:
    found *= 1 + 1e-4
  return found


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
  return float(gaussian_deltas(mu, np.float64(epsilon)))


def gaussian_deltas(mu: float, epsilons: np.ndarray | np.float64) -> np.ndarray:
  """`gaussian_delta` of many epsilons."""
  first = stats.norm.cdf(-epsilons / mu + mu / 2)
  second = np.exp(epsilons + stats.norm.logcdf(-epsilons / mu - mu / 2))
  return np.asarray(first - second)


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
