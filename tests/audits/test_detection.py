"""Rates of error and their intervals, against sweeps and closed forms."""

import itertools

import numpy as np
import pytest
import scipy.stats

from fedjax_asr.audits import detection, proportion


def _swept(genuine, impostor):
  """The crossing of the two rates, by trying each threshold in turn."""
  scores = [*sorted({*genuine, *impostor}), np.inf]
  points = [
    (
      sum(score >= threshold for score in impostor) / len(impostor),
      sum(score < threshold for score in genuine) / len(genuine),
    )
    for threshold in scores
  ]
  for (accept, reject), (then_accept, then_reject) in itertools.pairwise(
    points
  ):
    if reject <= accept and then_reject >= then_accept:
      # The straight line between the points meets reject = accept here.
      slope = (then_reject - reject) - (then_accept - accept)
      share = (accept - reject) / slope if slope else 0.0
      return reject + share * (then_reject - reject)
  raise AssertionError('the rates do not cross')


@pytest.mark.parametrize('seed', range(5))
def test_equal_error_rate_is_where_a_sweep_of_thresholds_crosses(seed):
  rng = np.random.default_rng(seed)
  # Rounded, so that scores tie within and between the kinds.
  genuine = np.round(rng.normal(1, 1, 31), 1)
  impostor = np.round(rng.normal(0, 1, 57), 1)
  assert detection.equal_error_rate(genuine, impostor) == pytest.approx(
    _swept(genuine, impostor)
  )


def test_equal_error_rate_of_two_gaussians_is_the_normal_tail():
  rng = np.random.default_rng(0)
  genuine, impostor = rng.normal(2, 1, 40_000), rng.normal(0, 1, 40_000)
  found = detection.equal_error_rate(genuine, impostor)
  assert found == pytest.approx(scipy.stats.norm.cdf(-1), abs=0.005)


def test_equal_error_rate_of_what_is_clear():
  low, high = np.array([0.0, 1.0]), np.array([2.0, 3.0, 4.0])
  assert detection.equal_error_rate(high, low) == 0.0
  assert detection.equal_error_rate(low, high) == 1.0
  same = np.ones(4)
  assert detection.equal_error_rate(same, same) == pytest.approx(0.5)


def test_clopper_pearson_cuts_binomial_tails():
  low, high = proportion.clopper_pearson(7, 20, 0.9)
  assert scipy.stats.binom.sf(6, 20, low) == pytest.approx(0.05)
  assert scipy.stats.binom.cdf(7, 20, high) == pytest.approx(0.05)
  assert proportion.clopper_pearson(0, 5, 0.95).low == 0.0
  assert proportion.clopper_pearson(5, 5, 0.95).high == 1.0


def test_interval_of_the_equal_error_rate_covers_its_closed_form():
  """In most of 25 samples of 40 speakers, as its confidence says."""
  rng = np.random.default_rng(1)
  first, second = np.nonzero(~np.eye(40, dtype=bool))
  truth = scipy.stats.norm.cdf(-0.75)
  covered = 0
  for _ in range(25):
    low, high = detection.equal_error_interval(
      rng.normal(1.5, 1, 40),
      rng.normal(0, 1, len(first)),
      first,
      second,
      60,
      0.9,
      rng,
    )
    covered += low <= truth <= high
  assert 18 <= covered <= 25
