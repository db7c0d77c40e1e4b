"""Lengths: what singular values tell of them, and how an estimate moves."""

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import (
  gated_likelihood,
  length_evidence,
  length_search,
  posterior,
  public_signals,
  speech_prior,
)

TAPS, UNITS, FEATURES = 60, 50, 4
SHAPE = context_windows.Shape(7, 1, FEATURES)


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


def _problem(count, noise):
  rng = np.random.default_rng(0)
  spoken = [rng.standard_normal((each, FEATURES)) for each in (30, 24, 20, 26)]
  layer = gated_likelihood.Layer(
    rng.standard_normal((TAPS, UNITS)), np.zeros(UNITS), np.ones(UNITS)
  )

  def made(speech):
    windows = context_windows.windows(speech, SHAPE, len(speech))
    signals = rng.standard_normal((len(speech), UNITS))
    whole = np.column_stack([windows, np.ones(len(windows))])
    return public_signals.PublicUpdate(whole.T @ signals, windows)

  public = tuple(made(each) for each in spoken)
  truth = rng.standard_normal((count, FEATURES))
  update = made(truth).update
  update = update + noise * rng.standard_normal(update.shape)
  signals = public_signals.Signals(
    np.eye(UNITS),
    np.ones(UNITS),
    np.ones(UNITS),
    public_signals.Energy(0.0, 0.0),
    public,
  )
  received = posterior.ReceivedLayer(update, noise, signals, layer)
  prior = speech_prior.fitted(spoken)
  return truth, posterior.Problem((received,), SHAPE, prior)


def _found(problem, told):
  return length_search.likeliest(
    problem,
    config.AdaptiveConfig(num_annealed=0, num_kept=1),
    told,
    np.random.default_rng(0),
    lambda line: None,
  )[0]


@pytest.mark.parametrize('told', [None, 22])
def test_the_likeliest_has_the_length_and_is_the_utterance(told):
  truth, problem = _problem(22, 1e-2)
  found = problem.prior.speech(_found(problem, told).whitened)
  assert found.shape == truth.shape
  error = np.sum((found - truth) ** 2) / np.sum(truth**2)
  assert error < 1e-3


def test_frames_that_are_added_are_those_of_the_mean():
  _, problem = _problem(22, 1e-2)
  speech = np.random.default_rng(1).standard_normal((10, FEATURES))
  whitened = problem.prior.whitened(speech)
  move = length_search._Move(2, -3)
  moved = problem.prior.speech(length_search._resized(problem, whitened, move))
  np.testing.assert_allclose(moved[2:], speech[:-3], atol=1e-9)
  mean = np.tile(problem.prior.mean, (2, 1))
  np.testing.assert_allclose(moved[:2], mean, atol=1e-9)
