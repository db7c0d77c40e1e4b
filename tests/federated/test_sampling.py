"""Who is drawn, as the accountant takes it to be."""

import numpy as np
import population
import pytest
from scipy import stats

from fedjax_asr import config
from fedjax_asr.federated import cohort, partition, sampling, schedule
from fedjax_asr.federated import secret as secret_lib

SECRET = secret_lib.Secret(7, 2**32 - 1)
NUM_CLIENTS = 24


def federated(cohort_size=6, mechanism=config.Mechanism.INDEPENDENT, **privacy):
  return config.FederatedConfig(
    cohort_size=cohort_size,
    sampling=config.Sampling.POISSON,
    privacy=config.PrivacyConfig(
      clip_norm=1.0,
      central_noise_multiplier=1.0,
      mechanism=mechanism,
      **privacy,
    ),
  )


def presence(settings, num_rounds, secret=SECRET):
  """[rounds, clients]: who was there."""
  found = np.zeros((num_rounds, NUM_CLIENTS), bool)
  for index in range(num_rounds):
    drawn = sampling.drawn(settings, NUM_CLIENTS, secret, index)
    assert len(set(drawn.tolist())) == len(drawn)
    found[index, drawn] = True
  return found


def test_each_client_is_drawn_by_itself():
  found = presence(federated(), 3000)
  error = np.sqrt(0.25 * 0.75 / len(found))
  np.testing.assert_allclose(found.mean(0), 0.25, atol=4.5 * error)
  # Of independent draws sizes are binomial; of a fixed number they are one.
  sizes = found.sum(1)
  counts = np.bincount(sizes, minlength=NUM_CLIENTS + 1)
  wanted = stats.binom.pmf(np.arange(NUM_CLIENTS + 1), NUM_CLIENTS, 0.25)
  usual = wanted * len(found) > 5
  observed = np.append(counts[usual], counts[~usual].sum())
  expected = np.append(wanted[usual], wanted[~usual].sum()) * len(found)
  assert stats.chisquare(observed, expected).pvalue > 1e-4
  # No two clients, and no two rounds, have to do with one another.
  centred = found - found.mean(0)
  pairs = centred.T @ centred / len(found)
  np.fill_diagonal(pairs, 0)
  assert np.abs(pairs).max() < 5 * 0.1875 / np.sqrt(len(found))
  after = (centred[1:] * centred[:-1]).mean(0)
  assert np.abs(after).max() < 5 * 0.1875 / np.sqrt(len(found))


def test_more_than_there_is_room_for_are_cut_at_random():
  settings = federated(max_cohort=7)
  chance = sampling.overflow(settings, NUM_CLIENTS)
  assert chance == pytest.approx(stats.binom.sf(7, NUM_CLIENTS, 0.25))
  found = presence(settings, 3000)
  sizes = found.sum(1)
  assert sizes.max() == sampling.places(settings, NUM_CLIENTS) == 7
  full = stats.binom.sf(6, NUM_CLIENTS, 0.25)
  assert (sizes == 7).mean() == pytest.approx(full, abs=0.035)
  # Nobody is preferred.
  share = sizes.mean() / NUM_CLIENTS
  error = np.sqrt(share * (1 - share) / len(found))
  np.testing.assert_allclose(found.mean(0), share, atol=4.5 * error)


def test_there_is_room_for_all_but_what_never_happens():
  settings = federated()
  assert sampling.places(settings, 10**5) < 80
  assert sampling.overflow(settings, 10**5) <= 1e-15
  assert sampling.places(settings, 8) == 8
  assert sampling.overflow(settings, 8) == 0.0


def test_it_is_a_function_of_secret_and_round():
  one = presence(federated(), 20)
  np.testing.assert_array_equal(one, presence(federated(), 20))
  for other in (secret_lib.Secret(8, 2**32 - 1), secret_lib.Secret(7, 5)):
    assert (one != presence(federated(), 20, other)).mean() > 0.2


def test_banded_noise_keeps_a_client_apart_from_itself():
  settings = federated(
    cohort_size=3, mechanism=config.Mechanism.BANDED, num_bands=5
  )
  found = presence(settings, 1000)
  rounds, clients = np.nonzero(found)
  for client in range(NUM_CLIENTS):
    apart = np.diff(rounds[clients == client])
    assert (apart >= 5).all()
    assert not (apart % 5).any()
  # Of 24 clients, 20 are in one of five groups of four.
  assert (found.sum(0) > 0).sum() == 20
  drawn = found[:, found.sum(0) > 0]
  assert drawn.mean() * 5 == pytest.approx(
    sampling.rate(settings, NUM_CLIENTS), abs=0.03
  )


@pytest.mark.parametrize(
  ('settings', 'said'),
  [
    (
      federated(6, config.Mechanism.BANDED, num_bands=5),
      r'cohort_size=6; want at most 4: of 24 clients, one in '
      r'federated\.privacy\.num_bands=5',
    ),
    (federated(6, max_cohort=5), 'max_cohort=5; want at least'),
  ],
)
def test_a_population_that_is_too_small_is_refused(settings, said):
  with pytest.raises(config.ConfigError, match=said):
    sampling.check(settings, NUM_CLIENTS)


def test_a_round_may_be_empty_and_moves_nothing_without_noise():
  """Of seven speakers one is expected; some round has nobody."""
  settings = population.federated(
    cohort_size=1, sampling=config.Sampling.POISSON, num_rounds=12
  )
  examples = population.examples(population.uneven())
  clients = partition.partition(
    examples.speakers, examples.texts, settings, population.SEED
  )
  timings = schedule.rounds(clients, settings, population.SEED)
  sizes = [len(timing.working.client_ids) for timing in timings]
  assert min(sizes) == 0
  assert max(sizes) > 1
  layout = cohort.plan(
    clients,
    examples,
    settings,
    population.SEED,
    1,
    [timing.working for timing in timings],
    sampling.places(settings, len(clients)),
  )
  assert layout.num_blocks * layout.block_size >= 7
  empty = sizes.index(0)
  drawn = cohort.draw(
    clients,
    examples.num_frames,
    settings,
    population.SEED,
    empty,
    timings[empty].working,
  )
  members = cohort.assemble(drawn, examples, layout)
  assert not members.bucket.any()
  assert (members.client_ids == -1).all()
  simulation = population.plain()
  assert members.client_ids.size > simulation.members(0).client_ids.size
