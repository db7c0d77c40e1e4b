"""Several layers' updates together: derivatives, and what layers are given."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr import config
from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.likelihood import (
  dense_stack,
  gated_likelihood,
  posterior,
  public_signals,
  speech_prior,
)
from fedjax_asr.models import ds1

FRAMES, FEATURES, SIZES, DEVIATION = 6, 2, (5, 4, 3), 0.3
SHAPE = context_windows.Shape(1, 1, FEATURES)


def _problem(num_layers):
  rng = np.random.default_rng(0)
  entries = (SHAPE.width * FEATURES, *SIZES)
  layers = []
  for inputs, units in zip(entries[:num_layers], SIZES, strict=False):
    layer = gated_likelihood.Layer(
      rng.standard_normal((inputs, units)),
      rng.standard_normal(units),
      rng.uniform(0.5, 2.0, units),
    )
    signals = public_signals.Signals(
      np.eye(units),
      layer.deviations**2,
      layer.deviations,
      public_signals.Energy(0.2, -0.5),
      (),
    )
    update = rng.standard_normal((inputs + 1, units))
    layers.append(posterior.ReceivedLayer(update, DEVIATION, signals, layer))
  spoken = [rng.standard_normal((9, FEATURES)) for _ in range(2)]
  return posterior.Problem(tuple(layers), SHAPE, speech_prior.fitted(spoken))


def _gated(problem):
  updates = [each.update for each in problem.layers]
  return posterior.with_prior(posterior.with_gates(problem, updates, 0.3))


def test_derivative_through_three_layers_is_that_of_finite_differences():
  objective = _gated(_problem(3))
  point = np.random.default_rng(1).standard_normal((FRAMES, FEATURES))
  _, gradient = objective(point)
  wanted = np.zeros_like(point)
  for place in np.ndindex(*point.shape):
    step = np.zeros_like(point)
    step[place] = 1e-6
    ends = objective(point + step)[0] - objective(point - step)[0]
    wanted[place] = ends / 2e-6
  np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6)


def test_each_layer_adds_its_own_likelihood():
  whole = _problem(3)
  point = np.random.default_rng(1).standard_normal((FRAMES, FEATURES))
  windows = posterior.windows(whole, point)
  given = dense_stack.inputs(windows, [each.layer for each in whole.layers])
  apart = 0.5 * np.sum(point**2)
  for received, inputs in zip(whole.layers, given, strict=True):
    value, _ = gated_likelihood.value_and_gradient(
      inputs, received.update, received.of(FRAMES), DEVIATION, 0.3
    )
    apart += value
  np.testing.assert_allclose(_gated(whole)(point)[0], apart, rtol=1e-12)


def test_layers_are_given_what_the_model_gives_them():
  cfg = config.DeepSpeech1Config(
    context_frames=1, dense_sizes=SIZES, recurrent_size=3, final_size=3
  )
  model = ds1.DeepSpeech1(cfg, 4)
  features = np.random.default_rng(2).standard_normal((FRAMES, FEATURES))
  arguments = jnp.asarray(features[None], jnp.float32), jnp.asarray([FRAMES])
  params = model.init(jax.random.key(0), *arguments, train=False)
  seen = {}

  def catch(call, args, kwargs, context):
    seen[context.module.name] = np.asarray(args[0][0])
    return call(*args, **kwargs)

  with nn.intercept_methods(catch):
    model.apply(params, *arguments, train=False)
  names = [f'dense_{index}' for index in range(3)]
  layers = [
    gated_likelihood.Layer(
      np.asarray(params['params'][name]['kernel'], np.float64),
      np.asarray(params['params'][name]['bias'], np.float64),
      np.ones(size),
    )
    for name, size in zip(names, SIZES, strict=True)
  ]
  windows = context_windows.windows(features, SHAPE, FRAMES)
  for name, inputs in zip(
    names, dense_stack.inputs(windows, layers), strict=True
  ):
    np.testing.assert_allclose(seen[name], inputs, atol=1e-5)
