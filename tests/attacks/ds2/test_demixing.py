"""DeepSpeech 2's input out of its first recurrence's update."""

import jax
import numpy as np
import pytest
import small_front

from fedjax_asr import config
from fedjax_asr.attacks import known_scale, observation
from fedjax_asr.attacks.ds2 import demixing
from fedjax_asr.models import model

CFG = config.DemixingConfig(num_searches=4)


def test_an_utterance_is_exact_its_scale_and_length_included():
  observed, (speech,), _ = small_front.observed((21,))
  found = demixing.reconstruct(observed, CFG, jax.random.key(0))
  assert found.is_certified
  (values,) = found.features
  np.testing.assert_allclose(values, speech, atol=1e-3)
  assert not found.ledger.knows_length
  assert not found.ledger.knows_transcript


def _without(observed, *names):
  return observed._replace(
    update=observation.without(jax.device_get(observed.update), names)
  )


def test_without_biases_the_shape_is_found_and_its_size_by_normalisation():
  observed, (speech,), _ = small_front.observed((21,))
  seen = _without(observed, 'conv_0/bias', 'conv_1/bias', 'recurrent_0/bias')
  found = demixing.reconstruct(seen, CFG, jax.random.key(0))
  assert found.is_certified
  assert found.certificate['scale_is_free'] == 1
  assert found.ledger.prior == known_scale.UNIT_VARIANCE
  assert 'conv_0/bias' not in found.ledger.layers
  np.testing.assert_allclose(found.features[0], speech, atol=1e-3)
  plain = config.FeaturesConfig(
    num_features=small_front.FEATURES,
    num_mels=small_front.FEATURES,
    normalization=config.Normalization.NONE,
  )
  found = demixing.reconstruct(
    seen._replace(features=plain), CFG, jax.random.key(0)
  )
  (values,) = found.features
  best = (values * speech).sum() / np.square(values).sum()
  np.testing.assert_allclose(best * values, speech, atol=1e-3)
  assert abs(best - 1) > 0.01
  assert found.certificate['scale_is_free'] == 1
  assert found.ledger.prior == ''


def test_without_norm_another_bias_tells_the_size():
  observed, (speech,), _ = small_front.observed((21,), config.Norm.NONE)
  seen = _without(observed, 'conv_0/bias')
  found = demixing.reconstruct(seen, CFG, jax.random.key(0))
  assert found.certificate['scale_is_free'] == 0
  np.testing.assert_allclose(found.features[0], speech, atol=2e-3)


@pytest.mark.parametrize('how', ['withheld', 'zero'])
@pytest.mark.parametrize(
  ('norm', 'name'),
  [
    (config.Norm.LAYER, 'recurrent_0/input_kernel'),
    (config.Norm.LAYER, 'recurrent_0/recurrent_kernel'),
    (config.Norm.NONE, 'recurrent_0/bias'),
  ],
)
def test_a_layer_that_it_cannot_do_without_is_named(norm, name, how):
  observed, _, _ = small_front.observed((21,), norm)
  seen = _without(observed, name)
  if how == 'zero':
    module, leaf = name.split('/')
    seen.update[module][leaf] = np.zeros_like(observed.params[module][leaf])
  with pytest.raises(observation.Refused, match=name):
    demixing.reconstruct(seen, CFG, jax.random.key(0))


def test_batch_norm_in_training_mode_is_undone_by_its_running_averages():
  observed, (speech,), _ = small_front.observed(
    (21,), config.Norm.BATCH, trains=True
  )
  found = demixing.reconstruct(observed, CFG, jax.random.key(0))
  assert found.is_certified
  np.testing.assert_allclose(found.features[0], speech, atol=1e-3)
  assert found.ledger.sends_norm_averages
  assert found.ledger.uses_norm_averages
  with pytest.raises(observation.Refused, match='running averages'):
    demixing.reconstruct(
      observed._replace(norm_update=None), CFG, jax.random.key(0)
    )


def test_noise_is_refused():
  observed, _, _ = small_front.observed((21,))
  rng = np.random.default_rng(0)
  noisy = jax.tree.map(
    lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape), observed.update
  )
  with pytest.raises(observation.Refused, match=r'no end|frames found'):
    demixing.reconstruct(
      observed._replace(update=noisy), CFG, jax.random.key(0)
    )


def test_adams_delta_is_refused():
  observed, _, _ = small_front.observed((21,))
  seen = observed._replace(
    observed=config.Observed.DELTA,
    client=config.ClientConfig(optimizer=config.ClientOptimizer.ADAM),
  )
  with pytest.raises(observation.Refused, match='Adam'):
    demixing.reconstruct(seen, CFG, jax.random.key(0))


def test_a_model_without_convolutions_is_refused():
  observed, _, _ = small_front.observed((21,))
  cfg = config.ModelConfig(architecture=config.Architecture.DS1)
  acoustic = model.acoustic(cfg, small_front.FEATURES)
  with pytest.raises(observation.Refused, match='no convolutions'):
    demixing.reconstruct(
      observed._replace(acoustic=acoustic), CFG, jax.random.key(0)
    )


def test_too_few_units_for_the_features_are_refused():
  observed, _, _ = small_front.observed((21,))
  wide = config.FeaturesConfig(num_features=80)
  with pytest.raises(observation.Refused, match='96 units for 160 unknowns'):
    demixing.reconstruct(
      observed._replace(features=wide), CFG, jax.random.key(0)
    )
