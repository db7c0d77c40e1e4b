"""Rates, areas and intervals against pairs, hand and SciPy."""

import numpy as np
import pytest
import scipy.stats

from fedjax_asr.audits import proportion, roc


def _scores(seed, shift=0.5):
  """With ties within and across."""
  rng = np.random.default_rng(seed)
  return (
    np.round(rng.normal(shift, 1, 60), 1),
    np.round(rng.normal(0, 1, 45), 1),
  )


def test_area_is_the_share_of_pairs_told_right():
  members, others = _scores(0)
  higher = members[:, None] > others
  equal = members[:, None] == others
  pairs = (higher + equal / 2).mean()
  assert roc.auc(members, others) == pytest.approx(pairs)
  points = roc.curve(members, others)
  assert np.trapezoid(points.tpr, points.fpr) == pytest.approx(pairs)
  assert (points.fpr[0], points.tpr[0]) == (0, 0)
  assert (points.fpr[-1], points.tpr[-1]) == (1, 1)


def test_delong_is_the_variance_over_the_placements_of_all_pairs():
  members, others = _scores(1)
  wins = (members[:, None] > others) + (members[:, None] == others) / 2
  variance = wins.mean(1).var(ddof=1) / 60 + wins.mean(0).var(ddof=1) / 45
  (low, high), method = roc.auc_interval(members, others, 0.95)
  assert method == 'delong'
  assert (high - low) / 2 == pytest.approx(1.959964 * np.sqrt(variance))


def test_delong_holds_the_area_as_often_as_it_says():
  """Of Gaussians a deviation apart: Phi(1 / sqrt 2)."""
  rng = np.random.default_rng(2)
  truth = scipy.stats.norm.cdf(1 / np.sqrt(2))
  held = 0
  for _ in range(400):
    (low, high), _ = roc.auc_interval(
      rng.normal(1, 1, 50), rng.normal(0, 1, 50), 0.9
    )
    held += low <= truth <= high
  assert 0.85 < held / 400 < 0.95


def test_separated_scores_have_an_interval_of_some_width():
  interval, method = roc.auc_interval(np.arange(5.0) + 9, np.arange(8.0), 0.95)
  assert method == 'clopper_pearson_of_pairs'
  assert interval == pytest.approx((0.025 ** (1 / 5), 1.0))


@pytest.mark.parametrize(('count', 'total'), [(0, 7), (3, 10), (12, 12)])
def test_clopper_and_pearsons_is_scipys_exact_interval(count, total):
  exact = scipy.stats.binomtest(count, total).proportion_ci(0.9, 'exact')
  found = proportion.clopper_pearson(count, total, 0.9)
  assert found == pytest.approx((exact.low, exact.high))


def test_rate_at_a_low_rate_counts_members_above_the_first_too_many():
  others = np.arange(200.0)
  # At 1%, two may be above: the threshold is 197.
  members = np.array([197.0, 197.5, 198.0, 300.0])
  found = roc.tpr_at(members, others, 0.01, 0.95)
  assert found['tpr'] == 3 / 4
  assert (others > 197).sum() == 2


def test_a_rate_that_cannot_be_told_from_zero_is_none():
  found = roc.measured(np.arange(50.0), np.arange(99.0), 0.95)
  assert [each['tpr'] for each in found['tpr_at_fpr']] == [None, None]
  assert '99 non-members' in found['tpr_at_fpr'][1]['missing']
  found = roc.measured(np.arange(50.0), np.arange(100.0), 0.95)
  assert [each['tpr'] for each in found['tpr_at_fpr']] == [None, 0.0]


def test_balanced_accuracy_is_the_best_thresholds():
  found = roc.measured(np.array([1.0, 3.0]), np.array([0.0, 2.0]), 0.95)
  assert found['balanced_accuracy'] == 0.75


def test_a_long_curve_is_thinned_and_keeps_its_ends():
  rng = np.random.default_rng(3)
  found = roc.measured(rng.normal(size=3000), rng.normal(size=3000), 0.95)
  fpr = found['roc']['fpr']
  assert len(fpr) <= 201
  assert (fpr[0], fpr[-1]) == (0, 1)
