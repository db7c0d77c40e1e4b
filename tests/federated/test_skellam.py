"""Integer noise, and what it guarantees, against exact sums."""

import jax
import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.rdp import rdp_privacy_accountant
from scipy import stats

from fedjax_asr import config
from fedjax_asr.federated import secure_protocol, skellam, skellam_accounting


@pytest.mark.parametrize('variance', [0.3, 5.0, 1e4, 2.0**20, 2.0**31])
def test_probabilities_sum_to_one_and_have_the_variance(variance):
  values = np.arange(skellam.reach(variance) + 1)
  found = skellam.probability(values, variance)
  assert abs(found[0] + 2 * found[1:].sum() - 1) < 1e-9
  assert (
    abs(2 * (found * values.astype(float) ** 2).sum() / variance - 1) < 1e-9
  )
  # Nothing of note is cut off, by the ratio of the last two entries.
  ratio = found[-1] / found[-2]
  assert 2 * found[-1] * ratio / (1 - ratio) < 2.0**-64


def test_probabilities_are_those_of_a_difference_of_poissons():
  values = np.arange(40)
  wanted = stats.skellam.pmf(values, 7.0, 7.0)
  np.testing.assert_allclose(
    skellam.probability(values, 14.0), wanted, rtol=1e-9, atol=1e-16
  )


def test_the_expansion_goes_on_where_bessel_functions_end():
  values = np.arange(9000)
  just_above = skellam._LARGE
  just_below = np.nextafter(just_above, 0.0)
  np.testing.assert_allclose(
    skellam.probability(values, just_above),
    skellam.probability(values, just_below),
    rtol=1e-9,
  )


@pytest.mark.parametrize('variance', [0.7, 30.0, 1e6])
def test_draws_are_of_the_distribution(variance):
  count = 200_000
  drawn = np.asarray(
    skellam.draws(skellam.table(variance), count, jax.random.key(0))
  )
  assert abs(drawn.mean()) < 4 * np.sqrt(variance / count)
  fourth = 3 + 1 / variance
  spread = np.sqrt((fourth - 1) / count)
  assert abs(drawn.var() / variance - 1) < 4 * spread
  edges = np.sqrt(variance) * np.array([-1.5, -0.8, -0.2, 0.2, 0.8, 1.5])
  edges = np.unique(np.round(edges))
  places = np.searchsorted(edges, drawn)
  observed = np.bincount(places, minlength=len(edges) + 1)
  cumulative = stats.skellam.cdf(edges, variance / 2, variance / 2)
  wanted = np.diff([0, *cumulative, 1])
  # searchsorted puts an edge itself to what is below it, as the cdf does.
  assert stats.chisquare(observed, wanted * count).pvalue > 1e-4


def exact_rdp(order, shift, variance):
  """Renyi divergence between the noise and the noise moved by a shift."""
  reach = 4 * skellam.reach(variance) + order * shift
  values = np.arange(-reach, reach + 1)
  log_p = np.log(np.maximum(probability(values - shift, variance), 1e-300))
  log_q = np.log(np.maximum(probability(values, variance), 1e-300))
  is_known = (log_p > -690) & (log_q > -690)
  terms = (order * log_p + (1 - order) * log_q)[is_known]
  return np.logaddexp.reduce(terms) / (order - 1)


def probability(values, variance):
  return skellam.probability(np.abs(values), variance)


@pytest.mark.parametrize('order', [2, 3, 8, 20])
@pytest.mark.parametrize('shift', [1, 2, 5])
@pytest.mark.parametrize('variance', [4.0, 25.0, 400.0])
def test_the_bound_holds_and_is_close_for_one_number(order, shift, variance):
  exact = exact_rdp(order, shift, variance)
  noise = skellam_accounting.Noise(shift, shift, variance)
  bound = skellam_accounting.skellam_rdp(order, noise)
  assert exact <= bound
  if variance == 400.0:
    assert bound < 1.05 * exact


def test_amplification_is_between_none_and_the_gaussians_own():
  """Of a fine unit the noise is as good as Gaussian."""
  multiplier, rate, rounds, delta = 1.0, 0.02, 200, 1e-5
  noise = skellam_accounting.Noise(
    2.0**16, 2.0**16, (multiplier * 2.0**16) ** 2
  )

  def gaussian(rate):
    accountant = rdp_privacy_accountant.RdpAccountant(
      list(skellam_accounting.ORDERS)
    )
    event = dp_event.PoissonSampledDpEvent(
      rate, dp_event.GaussianDpEvent(multiplier)
    )
    return accountant.compose(event, rounds).get_epsilon(delta)

  got = skellam_accounting.epsilon(noise, rate, rounds, delta)
  # The general bound has a factor of three that a Gaussian's own has not.
  assert gaussian(rate) <= got < 1.7 * gaussian(rate)
  whole = skellam_accounting.epsilon(noise, 1.0, rounds, delta)
  assert abs(whole / gaussian(1.0) - 1) < 1e-3
  assert got < whole / 5


def test_a_coarser_unit_and_more_rounds_cost_more():
  fine = skellam_accounting.Noise(10 * 2.0**10, 2.0**10, 2.0**20)
  coarse = skellam_accounting.Noise(10 * 2.0**3, 2.0**3, 2.0**6)
  epsilon = skellam_accounting.epsilon
  assert epsilon(fine, 1.0, 10, 1e-5) < epsilon(coarse, 1.0, 10, 1e-5)
  assert epsilon(fine, 0.1, 10, 1e-5) < epsilon(fine, 0.1, 20, 1e-5)
  assert epsilon(fine, 0.0, 10, 1e-5) == 0.0
  assert epsilon(fine, 0.1, 10, 0.0) == np.inf


def test_the_least_number_of_senders_has_the_noise_of_the_config():
  settings = config.FederatedConfig(
    cohort_size=10,
    weighting=config.Weighting.UNIFORM,
    privacy=config.PrivacyConfig(
      clip_norm=0.3,
      central_noise_multiplier=0.8,
      mechanism=config.Mechanism.DISTRIBUTED,
    ),
    secure_aggregation=config.SecureAggregationConfig(
      enabled=True, threshold=0.6
    ),
  )
  assert secure_protocol.of_config(settings).least_senders == 7
  noise = skellam_accounting.of_config(settings, num_params=10**6)
  assert noise.variance == pytest.approx((0.8 * noise.l2) ** 2)
  assert noise.l1 == 1e3 * noise.l2
