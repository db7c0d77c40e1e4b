"""Epsilons, against published ones and against what is known exactly."""

import math

import numpy as np
import pytest
from scipy import stats

from fedjax_asr import config
from fedjax_asr.federated import accountant


def mechanism(noise_multiplier, rate, **fields):
  settings = {
    'period': 1,
    'group_size': 10**6,
    'places': 10**6,
    'overflow': 0.0,
  }
  return accountant.Mechanism(
    noise_multiplier=noise_multiplier, rate=rate, **settings | fields
  )


# Pelikan et al. 2023 (arXiv 2310.00098), at a delta of 1e-9.
PUBLISHED = [
  (0.6144, 0.002947, 2034, 7.22, 6.29),
  (2.048, 0.029465, 2006, 4.44, 4.22),
  (1.536, 0.029465, 2006, 6.51, 6.17),
]


@pytest.mark.parametrize(
  ('noise', 'rate', 'rounds', 'by_rdp', 'by_pld'), PUBLISHED
)
def test_published_epsilons(noise, rate, rounds, by_rdp, by_pld):
  found = accountant.Accountant(mechanism(noise, rate), 1e-9).after(rounds)
  assert found.epsilon_rdp == pytest.approx(by_rdp, abs=0.006)
  assert found.epsilon_pld == pytest.approx(by_pld, abs=0.006)


def exact_epsilon(mu, delta):
  """Of a Gaussian mechanism, by bisection of its closed form."""
  low, high = 0.0, 100.0
  for _ in range(100):
    middle = (low + high) / 2
    found = stats.norm.cdf(mu / 2 - middle / mu) - math.exp(
      middle
    ) * stats.norm.cdf(-mu / 2 - middle / mu)
    low, high = (middle, high) if found > delta else (low, middle)
  return high


@pytest.mark.parametrize('rounds', [1, 4, 9])
def test_without_sampling_it_is_one_gaussian_mechanism(rounds):
  """Everybody in every round: mu = sqrt(rounds) / noise."""
  books = accountant.Accountant(mechanism(3.0, 1.0), 1e-5)
  mu = math.sqrt(rounds) / 3
  wanted = exact_epsilon(mu, 1e-5)
  found = books.after(rounds)
  assert found.epsilon_pld == pytest.approx(wanted, rel=1e-3)
  assert found.epsilon_pld >= wanted
  assert found.epsilon_rdp >= wanted
  curve = books.curve(rounds)
  assert curve.mu == pytest.approx(mu, rel=2e-3)
  tpr = stats.norm.cdf(stats.norm.ppf(0.01) + mu)
  assert curve.tpr == pytest.approx(tpr, rel=1e-2)


@pytest.mark.parametrize(('mu', 'wanted'), [(1.0, 4.377), (2.0, 9.997)])
def test_local_noise_is_of_what_two_updates_are_apart(mu, wanted):
  """Four rounds at a noise of 4 / mu, the updates twice the norm apart."""
  found = accountant.local_epsilon(4 / mu, 4, 1e-5)
  assert found == pytest.approx(wanted, abs=1e-3)
  assert accountant.local_epsilon(1.0, 0, 1e-5) == 0


def test_round_by_round_is_as_all_at_once():
  one = accountant.Accountant(mechanism(1.0, 0.1), 1e-6)
  each = [one.after(count) for count in range(6)]
  assert each[0] == (0.0, 0.0)
  assert sorted(found.epsilon_pld for found in each) == [
    found.epsilon_pld for found in each
  ]
  # To the last bit: a run that is resumed tells what it would have told.
  assert accountant.Accountant(mechanism(1.0, 0.1), 1e-6).after(5) == each[-1]
  assert one.after(2) == each[2]


def test_a_long_run_that_is_resumed_tells_the_same():
  whole = accountant.Accountant(mechanism(2.0, 0.05), 1e-6)
  each = [whole.after(count) for count in range(1, 41)]
  for first in (15, 16, 31, 37):
    resumed = accountant.Accountant(mechanism(2.0, 0.05), 1e-6)
    # As a promise of the last round is told before.
    assert resumed.after(40) == each[39]
    assert [resumed.after(count) for count in (first, first + 1)] == each[
      first - 1 : first + 1
    ]


def test_banded_noise_is_spent_once_a_turn():
  banded = accountant.Accountant(mechanism(1.0, 0.4, period=4), 1e-6)
  plain = accountant.Accountant(mechanism(1.0, 0.4), 1e-6)
  for rounds, turns in ((1, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
    np.testing.assert_allclose(
      banded.after(rounds), plain.after(turns), rtol=1e-6
    )


def test_leaving_clients_out_is_paid_for():
  """Of 32 clients 8 are expected, and there is room for ten."""
  settings = {'group_size': 32, 'places': 10}
  often = float(stats.binom.sf(10, 32, 0.25))
  plain = accountant.Accountant(mechanism(2.0, 0.25), 1e-5).after(20)
  cut = accountant.Accountant(
    mechanism(2.0, 0.25, overflow=often, **settings), 1e-5
  ).after(20)
  assert cut.epsilon_pld > plain.epsilon_pld
  # Renyi's bound would have to take it from a delta that is far smaller.
  assert cut.epsilon_rdp is None
  rarely = accountant.Accountant(
    mechanism(2.0, 0.25, overflow=1e-12, **settings | {'places': 31}), 1e-5
  ).after(20)
  np.testing.assert_allclose(rarely, plain, rtol=1e-3)
  assert rarely.epsilon_rdp > plain.epsilon_rdp


@pytest.mark.parametrize('epsilon', [1.0, 8.0])
@pytest.mark.parametrize('is_fixed', [False, True])
def test_the_noise_that_is_found_spends_the_target(epsilon, is_fixed):
  own = mechanism(0.0, 0.1, is_fixed=is_fixed)
  found = accountant.noise_multiplier(own, 50, epsilon, 1e-6)
  own = own._replace(noise_multiplier=found)
  spent = accountant.Accountant(own, 1e-6).after(50)
  assert epsilon * 0.995 < spent.epsilon_pld <= epsilon


def test_a_target_that_no_noise_reaches_is_refused():
  with pytest.raises(
    config.ConfigError, match=r'target_epsilon=1e-05; no noise'
  ):
    accountant.noise_multiplier(mechanism(0.0, 1.0), 10**6, 1e-5, 1e-9)


def test_a_larger_population_has_the_same_noise_on_its_mean():
  privacy = config.PrivacyConfig(population=10**5, population_cohort=800)
  found = accountant.extrapolated(mechanism(0.5, 0.25), 8, privacy)
  assert found.noise_multiplier == 50
  assert found.rate == 0.008
  same = accountant.extrapolated(
    mechanism(0.5, 0.25), 8, config.PrivacyConfig(population=1000)
  )
  assert (same.noise_multiplier, same.rate) == (0.5, 0.008)


def test_sampling_a_fixed_number_halves_the_noise():
  federated = config.FederatedConfig(
    cohort_size=8,
    privacy=config.PrivacyConfig(clip_norm=1.0, central_noise_multiplier=3.0),
  )
  fixed = accountant.of_config(federated, 32)
  federated.sampling = config.Sampling.POISSON
  poisson = accountant.of_config(federated, 32)
  assert (fixed.noise_multiplier, poisson.noise_multiplier) == (1.5, 3.0)
  assert fixed.rate == poisson.rate == 0.25
  assert (fixed.is_fixed, poisson.is_fixed) == (True, False)


def hockey_stick(likely, other, alpha):
  """sup of P(E) - alpha Q(E), of densities on a fine grid."""
  return np.maximum(likely - alpha * other, 0).sum()


def test_a_fixed_number_is_at_least_as_bad_as_any_pair_of_neighbours():
  """One round and two, numerically, of clients as far apart as they can be."""
  noise, rate = 1.0, 0.25
  points = np.arange(-12, 12, 0.01)

  def density(mean):
    # Of noise that is twice the half that one client may move.
    return stats.norm.pdf(points, mean, 2 * noise) * 0.01

  books = accountant.Accountant(
    mechanism(noise, rate, is_fixed=True, group_size=40), 1e-3
  )
  for before, after, others in ((1, -1, 0), (1, -1, -1), (1, 0, -1), (0, 1, 1)):
    one, two = (
      (1 - rate) * density(others) + rate * density(mean)
      for mean in (before, after)
    )
    for _ in range(2):
      one, two = two, one
      for rounds in (1, 2):
        epsilon = books.after(rounds).epsilon_pld
        pair = [
          each if rounds == 1 else np.outer(each, each) for each in (one, two)
        ]
        assert hockey_stick(*pair, math.exp(epsilon)) <= 1e-3 * (1 + 1e-3)


def test_a_fixed_number_costs_more_than_one_that_is_drawn():
  """In one round as much at the same distance, and more in many."""
  fixed, poisson = (
    accountant.Accountant(
      mechanism(1.5, 0.25, is_fixed=is_fixed, group_size=40), 1e-6
    )
    for is_fixed in (True, False)
  )
  assert fixed.after(1).epsilon_pld == pytest.approx(
    poisson.after(1).epsilon_pld, rel=1e-3
  )
  many = fixed.after(100), poisson.after(100)
  assert many[0].epsilon_pld > 1.05 * many[1].epsilon_pld
  assert many[0].epsilon_rdp > many[0].epsilon_pld


def test_all_in_every_round_is_a_gaussian_mechanism_of_half_the_noise():
  books = accountant.Accountant(
    mechanism(1.5, 1.0, is_fixed=True, group_size=4), 1e-5
  )
  wanted = exact_epsilon(2 / 1.5, 1e-5)
  assert books.after(4).epsilon_pld == pytest.approx(wanted, rel=1e-3)
  assert books.after(4).epsilon_pld >= wanted
