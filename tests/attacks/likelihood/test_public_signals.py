"""What public updates say of the energy that others send back."""

import numpy as np
import pytest

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import (
  gated_likelihood,
  posterior,
  public_signals,
  speech_prior,
  window_likelihood,
)

UNITS, FEATURES, TAPS = 4, 2, 40
SLOPE = -1.5


def _updates(lengths, rng):
  """Of which each window's d has variance length^SLOPE."""
  for length in lengths:
    inputs = rng.standard_normal((length, TAPS))
    signals = length ** (SLOPE / 2) * rng.standard_normal((length, UNITS))
    whole = np.column_stack([inputs, np.ones(length)])
    yield public_signals.PublicUpdate(whole.T @ signals, inputs)


def _layer(rng):
  return gated_likelihood.Layer(
    rng.standard_normal((TAPS, UNITS)), np.zeros(UNITS), np.ones(UNITS)
  )


def _signals(lengths):
  rng = np.random.default_rng(0)
  return public_signals._of_layer(_layer(rng), tuple(_updates(lengths, rng)))


def test_energy_follows_the_length_as_it_did_in_public():
  energy = _signals(range(8, 40)).energy
  assert energy.slope == pytest.approx(SLOPE, abs=0.15)
  ratio = energy.of(10) / energy.of(30)
  assert ratio == pytest.approx(3.0**-SLOPE, rel=0.2)


@pytest.mark.parametrize('lengths', [(8, 20, 39), (20,) * 12])
def test_few_utterances_or_one_length_tell_nothing_of_others(lengths):
  assert _signals(lengths).energy.of(35) == 1.0


def test_what_is_expected_of_a_length_is_in_both_likelihoods():
  signals = _signals(range(8, 40))
  rng = np.random.default_rng(1)
  layer = _layer(rng)._replace(deviations=signals.deviations)
  update = rng.standard_normal((7, UNITS))
  layer = layer._replace(kernel=layer.kernel[:6])
  received = posterior.ReceivedLayer(update, 0.3, signals, layer)
  shape = context_windows.Shape(1, 1, FEATURES)
  prior = speech_prior.fitted([rng.standard_normal((9, FEATURES))])
  problem = posterior.Problem((received,), shape, prior)
  point = rng.standard_normal((10, FEATURES))
  factor = signals.energy.of(10)
  assert factor != pytest.approx(1.0, abs=0.1)
  windows = posterior.windows(problem, point)
  flat, _ = window_likelihood.value_and_gradient(
    np.column_stack([windows, np.ones(10)]),
    window_likelihood.Received(
      update @ signals.axes, factor * signals.variances
    ),
    0.3,
  )
  assert posterior.flat(problem)(point)[0] == pytest.approx(flat, rel=1e-9)
  gated, _ = gated_likelihood.value_and_gradient(
    windows,
    update,
    layer._replace(deviations=np.sqrt(factor) * signals.deviations),
    0.3,
    0.2,
  )
  found, _ = posterior.with_gates(problem, [update], 0.2)(point)
  assert found == pytest.approx(gated, rel=1e-9)
