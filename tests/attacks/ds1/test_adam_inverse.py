"""A gradient read from what a first step of Adam leaves in float32."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.ds1 import adam_inverse
from fedjax_asr.federated import optimizers
from fedjax_asr.models import model

FEATURES, UNITS, FRAMES = 6, 64, 12
RATE = 1e-3
CFG = config.AdamInverseConfig()
CLIENT = config.ClientConfig(
  optimizer=config.ClientOptimizer.ADAM, learning_rate=RATE
)


def _model():
  return config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=config.DeepSpeech1Config(
      context_frames=2,
      dense_sizes=(UNITS, 16),
      recurrent_size=8,
      final_size=8,
    ),
  )


def _original():
  rng = np.random.default_rng(0)
  return rng.standard_normal((FRAMES, FEATURES)).astype(np.float32)


def _observed(size):
  """(what Adam makes of a gradient of that typical entry, the gradient)."""
  cfg = _model()
  acoustic = model.acoustic(cfg, FEATURES)
  params, norm_state = jax.jit(acoustic.init)(jax.random.key(1))
  batch, count = jnp.asarray(_original())[None], jnp.array([FRAMES])

  def loss(params):
    logits, _, _ = acoustic.apply(params, norm_state, batch, count, train=False)
    return jnp.sum(logits * jax.random.normal(jax.random.key(2), logits.shape))

  gradient = jax.jit(jax.grad(loss))(params)
  factor = size / jnp.sqrt(jnp.mean(gradient['dense_0']['kernel'] ** 2))
  gradient = jax.tree.map(lambda leaf: leaf * factor, gradient)
  adam = optimizers.client_optimizer(CLIENT, RATE)
  step, _ = adam.update(gradient, adam.init(params), params)
  delta = jax.tree.map(lambda old, move: old - (old + move), params, step)
  observed = observation.Observation(
    update=delta,
    params=params,
    norm_state=norm_state,
    acoustic=acoustic,
    model=cfg,
    features=config.FeaturesConfig(),
    client=CLIENT,
    observed=config.Observed.DELTA,
    num_steps=1,
    learning_rate=RATE,
    round=0,
    declared=observation.Declared(),
  )
  return observed, gradient


def test_errors_of_a_restored_gradient_are_as_large_as_it_says():
  observed, gradient = _observed(1e-5)
  restored = adam_inverse.restored(observed, 'dense_0/kernel')
  told = np.isfinite(restored.deviation)
  assert told.mean() > 0.9
  error = restored.values - np.asarray(
    gradient['dense_0']['kernel'], np.float64
  )
  relative = (error / restored.deviation)[told]
  # Of an even distribution, three fifths are within a deviation.
  assert 0.9 < np.sqrt(np.mean(relative**2)) < 1.1
  assert 0.5 < np.mean(np.abs(relative) < 1) < 0.7


def test_speech_comes_out_of_a_step_of_adam_on_small_gradients():
  observed, _ = _observed(1e-6)
  result = adam_inverse.reconstruct(observed, CFG, jax.random.key(0))
  original = _original()
  assert result.is_certified
  assert not result.is_whole
  (found,) = result.features
  assert found.shape == original.shape
  error = np.sum((found - original) ** 2)
  assert 10 * np.log10(np.sum(original**2) / error) > 40
  assert 0.8 < result.certificate['chi_square'] < CFG.max_chi_square


def test_large_gradients_are_not_told():
  observed, _ = _observed(1.0)
  with pytest.raises(observation.Refused, match='told within a tenth'):
    adam_inverse.reconstruct(observed, CFG, jax.random.key(0))


def test_a_rank_is_found_with_errors_that_span_orders_of_magnitude():
  rng = np.random.default_rng(0)
  exact = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 60))
  deviation = 10.0 ** rng.uniform(-6, -1, exact.shape)
  noisy = exact + deviation * rng.standard_normal(exact.shape)
  fit = adam_inverse.fitted(
    adam_inverse.Restored(noisy, deviation), 1.1, lambda _: None
  )
  assert fit is not None
  assert fit.rank == 5
  assert np.abs(fit.values - exact).max() < 1e-2 * np.abs(noisy - exact).max()


REFUSED = {
  'optimizer sgd': {
    'client': dataclasses.replace(CLIENT, optimizer=config.ClientOptimizer.SGD)
  },
  'delta of 2 local steps': {'num_steps': 2},
  'gradient of 1 local steps': {'observed': config.Observed.GRADIENT},
}


@pytest.mark.parametrize('reason', REFUSED)
def test_other_than_one_step_of_adam_is_refused(reason):
  observed, _ = _observed(1e-6)
  with pytest.raises(observation.Refused, match=reason):
    adam_inverse.reconstruct(
      observed._replace(**REFUSED[reason]), CFG, jax.random.key(0)
    )
