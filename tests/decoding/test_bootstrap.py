"""Bootstrap intervals against closed forms."""

import statistics

import numpy as np
import pytest

from fedjax_asr.decoding import bootstrap


def test_interval_of_independent_words_is_the_binomial_one():
  """Utterances of one word, wrong or right: the rate is a binomial's mean."""
  count, rate = 2000, 0.3
  errors = np.arange(count) < rate * count
  low, high = bootstrap.by_unit(
    errors.astype(int), np.ones(count, int), 4000, 0.9, seed=0
  )
  half = statistics.NormalDist().inv_cdf(0.95)
  half *= np.sqrt(rate * (1 - rate) / count)
  # Quantiles of 4000 resamples are known to about 3% of the width.
  assert low == pytest.approx(rate - half, abs=0.06 * half)
  assert high == pytest.approx(rate + half, abs=0.06 * half)


def test_interval_of_uneven_utterances_is_the_ratio_estimators():
  """The delta method: var(E / L) = sum (e - r l)^2 / (sum l)^2."""
  rng = np.random.default_rng(1)
  lengths = rng.integers(1, 20, 1500)
  errors = rng.binomial(lengths, rng.beta(1, 4, 1500))
  rate = errors.sum() / lengths.sum()
  deviation = np.sqrt(np.sum((errors - rate * lengths) ** 2)) / lengths.sum()
  low, high = bootstrap.by_unit(errors, lengths, 4000, 0.95, seed=3)
  assert (high - low) / 2 == pytest.approx(1.96 * deviation, rel=0.05)
  assert low < rate < high


def test_more_confidence_is_wider():
  errors, lengths = np.array([0, 1, 2, 5, 1]), np.array([4, 5, 6, 7, 8])
  narrow = bootstrap.by_unit(errors, lengths, 500, 0.5, seed=0)
  wide = bootstrap.by_unit(errors, lengths, 500, 0.99, seed=0)
  assert wide.low < narrow.low < narrow.high < wide.high


def test_speakers_that_differ_widen_the_interval_as_theory_says():
  """Each of 100 speakers is all right or all wrong: 100 draws, not 2000."""
  clusters = [f's{index % 100}' for index in range(2000)]
  errors = np.array([int(name[1:]) < 30 for name in clusters], int)
  lengths = np.ones(2000, int)
  low, high = bootstrap.by_cluster(errors, lengths, clusters, 4000, 0.9, seed=0)
  half = statistics.NormalDist().inv_cdf(0.95) * np.sqrt(0.3 * 0.7 / 100)
  assert (high - low) / 2 == pytest.approx(half, rel=0.1)
  alone = bootstrap.by_unit(errors, lengths, 4000, 0.9, seed=0)
  assert (high - low) / (alone.high - alone.low) == pytest.approx(
    np.sqrt(20), rel=0.1
  )


def test_clusters_of_one_are_units():
  errors, lengths = np.array([0, 1, 2, 5, 1]), np.array([4, 5, 6, 7, 8])
  assert bootstrap.by_cluster(
    errors, lengths, list('abcde'), 200, 0.9, seed=5
  ) == bootstrap.by_unit(errors, lengths, 200, 0.9, seed=5)


def test_interval_is_a_function_of_the_seed():
  errors, lengths = np.array([0, 1, 2, 5, 1]), np.array([4, 5, 6, 7, 8])
  first, again, other = (
    bootstrap.by_unit(errors, lengths, 100, 0.9, seed=seed)
    for seed in (1, 1, 2)
  )
  assert first == again != other


def test_one_unit_says_nothing_about_spread():
  one = np.array([1])
  assert bootstrap.by_unit(one, one, 10, 0.9, seed=0) is None
  two = np.array([1, 2])
  assert bootstrap.by_cluster(two, two, ['a', 'a'], 10, 0.9, seed=0) is None
