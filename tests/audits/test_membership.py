"""LiRA and RMIA where their answer is known."""

import numpy as np
import pytest
import scipy.stats

from fedjax_asr.audits import membership, roc


def test_each_unit_is_out_of_half_of_the_shadows():
  is_out = membership.left_out(6, 500, np.random.default_rng(0))
  assert (is_out.sum(0) == 3).all()
  # And shadows go without half of the units, about.
  assert abs(is_out.mean(1) - 0.5).max() < 0.1


@pytest.mark.parametrize('num_shadows', [8, 80])
def test_lira_finds_gaussians_of_one_shift_as_well_as_can_be(num_shadows):
  """Units differ in mean, and a member lies two deviations higher.

  Knowing the means the area would be Phi(2 / sqrt 2); the mean of n OUT shadows
  adds 1 / n to the variance of both.
  """
  rng = np.random.default_rng(1)
  means, is_member = rng.normal(0, 20, 4000), rng.random(4000) < 0.5
  is_out = membership.left_out(num_shadows, 4000, rng)
  # What is in pulls a shadow, and may not be looked at.
  shadows = rng.normal(means, 1, is_out.shape) + np.where(is_out, 0, 50)
  target = rng.normal(means, 1) + 2 * is_member
  scores = membership.lira(target, shadows, is_out)
  found = roc.auc(scores[is_member], scores[~is_member])
  spread = np.sqrt(2 * (1 + 2 / num_shadows))
  assert found == pytest.approx(scipy.stats.norm.cdf(2 / spread), abs=0.01)
  plain = roc.auc(target[is_member], target[~is_member])
  assert plain < 0.6 < found
  # Of units that nobody trained on, deviations are what they are called.
  expected = np.sqrt(1 + 2 / num_shadows)
  assert scores[~is_member].std() == pytest.approx(expected, rel=0.1)


def test_rmia_counts_references_that_are_beaten_and_not_itself():
  target = np.array([0.8, 0.5, 0.2, 0.4])
  shadows = np.array([[0.5, 0.5, 0.4, 0.9], [0.9, 0.9, 0.9, 0.4]])
  is_out = np.array([[1, 1, 1, 0], [0, 0, 0, 1]], bool)
  is_reference = np.array([False, True, True, True])
  # a = 1 makes p(x) the OUT mean: ratios 1.6, 1, 0.5, 1.
  found = membership.rmia(
    target, shadows, is_out, is_reference, membership.Rmia(1.0, 1.0)
  )
  np.testing.assert_allclose(found, [1, 1, 0, 1])
  # Of half as much again, 1.6 beats 1; 1 beats 0.5.
  found = membership.rmia(
    target, shadows, is_out, is_reference, membership.Rmia(1.0, 1.5)
  )
  np.testing.assert_allclose(found, [1, 1 / 2, 0, 1 / 2])


def test_rmias_offline_estimate_lies_between_the_mean_and_a_half():
  """p(x) = ((1 + a) p_out + 1 - a) / 2: at a = 0 both ratios are 0.8."""
  target = np.array([0.8, 0.4])
  shadows = np.array([[1.0, 0.0]])
  both = np.ones((1, 2), bool)
  found = membership.rmia(
    target, shadows, both, np.array([True, True]), membership.Rmia(0.0, 1.0)
  )
  np.testing.assert_allclose(found, [1, 1])


def test_a_speakers_value_is_the_mean_of_the_utterances():
  values = np.array([[1.0, 2.0, 6.0], [0.0, 4.0, 5.0]])
  found = membership.grouped(values, np.array([1, 1, 0]), 2)
  np.testing.assert_array_equal(found, [[6, 1.5], [5, 2]])


def test_scaling_is_the_logit_of_a_likely_transcript():
  """log(p / (1 - p)) of p = exp(-loss), of one label."""
  losses = np.array([1e-4, 1e-3])
  p = np.exp(-losses)
  found = membership.scaled(losses, np.array([1, 1]))
  np.testing.assert_allclose(found, np.log(p / (1 - p)), atol=1e-3)
