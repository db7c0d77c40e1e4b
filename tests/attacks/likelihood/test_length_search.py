"""Lengths: what singular values tell of them, and how an estimate moves."""

import numpy as np
import pytest
import small_update

from fedjax_asr import config
from fedjax_asr.attacks.likelihood import (
  length_evidence,
  length_search,
  public_signals,
)

TAPS, UNITS = small_update.TAPS, small_update.UNITS


def _update(count, rng):
  """Of signals whose energy falls from one direction to the next."""
  inputs = rng.standard_normal((count, TAPS))
  sizes = 0.9 ** np.arange(UNITS)
  signals = rng.standard_normal((count, UNITS)) * sizes
  return public_signals.PublicUpdate(
    np.vstack([inputs.T @ signals, signals.sum(axis=0)]), inputs
  )


def _evidence(count, noise):
  rng = np.random.default_rng(3)
  public = [_update(each % 31 + 15, rng) for each in range(0, 310, 7)]
  kernel = _update(count, rng).update[:TAPS]
  kernel = kernel + noise * rng.standard_normal(kernel.shape)
  return length_evidence.of_spectrum(kernel, public, noise, rng)


def test_the_spectrum_tells_the_length():
  for count in (20, 30, 40):
    evidence = _evidence(count, 0.1)
    least, most = evidence.within(3.0)
    assert least < count < most
    assert evidence.deviation < 0.15


def test_noise_beyond_the_update_leaves_what_public_lengths_are():
  evidence = _evidence(20, 1e3)
  spread = np.std(np.log(np.arange(15, 46)))
  assert evidence.deviation > 0.6 * spread
  least, most = evidence.within(2.0)
  assert least < 20
  assert most > 40


def _found(problem, told):
  return length_search.likeliest(
    problem,
    config.AdaptiveConfig(gate_widths=(0.2,)),
    told,
    np.random.default_rng(0),
    lambda line: None,
  )[0]


@pytest.mark.parametrize('told', [None, 22])
def test_the_likeliest_has_the_length_and_is_the_utterance(told):
  truth, problem = small_update.problem(22, 1e-2)
  found = problem.prior.speech(_found(problem, told).whitened)
  assert found.shape == truth.shape
  error = np.sum((found - truth) ** 2) / np.sum(truth**2)
  assert error < 1e-3


def _asked(cost, least, low, high, most):
  """(lengths that were asked for, the best of them)."""
  found = {}

  def costs(counts):
    found.update({count: cost(count) for count in counts})
    return found

  length_search._searched(costs, least, low, high, most)
  return found, min(found, key=found.__getitem__)


def test_all_of_a_few_lengths_are_tried():
  found, best = _asked(lambda count: abs(count - 31), 10, 30, 33, 90)
  assert set(found) == {30, 31, 32, 33}
  assert best == 31


def test_of_many_lengths_some_and_all_about_the_best():
  found, best = _asked(lambda count: abs(count - 47), 10, 30, 60, 90)
  assert best == 47
  assert {46, 47, 48} <= set(found)
  assert len(found) < 20


@pytest.mark.parametrize('truth', [20, 70])
def test_a_length_beyond_what_was_expected_is_found(truth):
  _, best = _asked(lambda count: abs(count - truth), 10, 30, 60, 90)
  assert best == truth


@pytest.mark.parametrize('truth', [10, 90])
def test_no_length_is_asked_for_that_cannot_be(truth):
  found, best = _asked(lambda count: abs(count - truth), 10, 30, 60, 90)
  assert best == truth
  assert min(found) >= 10
  assert max(found) <= 90
