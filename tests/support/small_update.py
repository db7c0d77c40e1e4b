"""A small noisy update of random speech, as an attacker that reckons with it
is given it."""

import numpy as np

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import (
  gated_likelihood,
  posterior,
  public_signals,
  speech_prior,
)

TAPS, UNITS, FEATURES = 60, 50, 4
SHAPE = context_windows.Shape(7, 1, FEATURES)


def problem(count, noise):
  """(the utterance, the problem): one layer, of clipped random signals."""
  rng = np.random.default_rng(0)
  spoken = [rng.standard_normal((each, FEATURES)) for each in (30, 24, 20, 26)]
  layer = gated_likelihood.Layer(
    rng.standard_normal((TAPS, UNITS)), np.zeros(UNITS), np.ones(UNITS)
  )

  def made(speech):
    windows = context_windows.windows(speech, SHAPE, len(speech))
    is_active = windows @ layer.kernel + layer.bias > 0
    signals = is_active * rng.standard_normal((len(speech), UNITS))
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
