"""DeepSpeech 2's input out of its first recurrence's update."""

import jax
import numpy as np
import pytest
import small_front

from fedjax_asr import config
from fedjax_asr.attacks import demixing, observation
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


def test_batch_norm_in_training_mode_is_undone_by_its_running_averages():
  observed, (speech,), _ = small_front.observed(
    (21,), config.Norm.BATCH, trains=True
  )
  found = demixing.reconstruct(observed, CFG, jax.random.key(0))
  assert found.is_certified
  np.testing.assert_allclose(found.features[0], speech, atol=1e-3)
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
