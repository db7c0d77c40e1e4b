"""An attacker that reckons with noise, on what a tiny model's clients send."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny_attack

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.likelihood import (
  adaptive,
  capon_start,
  received_noise,
  speech_prior,
)
from fedjax_asr.jobs import attack_victims

KERNEL = 'dense_0/kernel'
QUICK = {
  'num_public': 4,
  'gate_widths': (0.2, 0.05),
  'num_samples': 2,
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('adaptive')


def _observed(folder, noise, **fields):
  """(truth, what is sent): one utterance under noise of a clip norm of 1."""
  cfg = tiny_attack.fresh(folder)
  cfg.features.normalization = config.Normalization.UTTERANCE
  cfg.attack.methods = ('adaptive',)
  cfg.attack.num_victims = 1
  cfg.attack.observed = config.Observed.DELTA
  cfg.federated.client.learning_rate = 0.3
  cfg.federated.privacy.clip_norm = 1.0
  cfg.federated.privacy.local_noise_multiplier = noise
  for name, value in fields.items():
    setattr(cfg.federated.compression, name, value)
  run, victims = tiny_attack.attacked(cfg, folder / 'work')
  public = attack_victims.public_utterances(run, cfg.attack, victims)
  (made,) = attack_victims.observations(run, cfg.attack, victims, None, public)
  return victims[0].spoken[0].features, made


def _reconstructed(observed, **fields):
  return adaptive.reconstruct(
    observed, config.AdaptiveConfig(**QUICK, **fields), jax.random.key(0)
  )


def test_little_noise_leaves_the_utterance_and_its_length(folder):
  truth, observed = _observed(folder, 1e-7)
  found = _reconstructed(observed)
  assert found.features[0].shape == truth.shape
  assert np.corrcoef(found.features[0].ravel(), truth.ravel())[0, 1] > 0.99
  assert not found.is_certified
  assert found.ledger.prior == adaptive.PRIOR


def test_layers_that_are_wide_enough_are_used_too(folder):
  truth, observed = _observed(folder, 1e-6)
  found = _reconstructed(observed, num_layers=3)
  # The third has 12 inputs for 48 windows.
  assert set(found.ledger.layers) == {
    f'dense_{index}/{part}' for index in (0, 1) for part in ('kernel', 'bias')
  }
  assert np.corrcoef(found.features[0].ravel(), truth.ravel())[0, 1] > 0.99


def test_noise_beyond_everything_gives_public_speech_back(folder):
  _, observed = _observed(folder, 1.0)
  found = _reconstructed(observed)
  public = np.concatenate([each.features for each in observed.declared.public])
  apart = found.features[0] - public.mean(axis=0)
  # Draws of the prior, two of which were averaged.
  assert np.mean(apart**2) < np.mean((public - public.mean(axis=0)) ** 2)


def test_a_noise_that_is_declared_ten_times_too_small_is_seen(folder):
  _, observed = _observed(folder, 1e-4)
  treatment = observed.treatment._replace(local_noise_multiplier=1e-5)
  certificate = _reconstructed(
    observed._replace(treatment=treatment)
  ).certificate
  assert certificate['misfit'] > 2 * certificate['misfit_limit']


def test_a_length_that_is_told_is_kept_to(folder):
  truth, observed = _observed(folder, 1e-3)
  told = len(truth) - 5
  declared = observed.declared._replace(num_frames=(told,))
  found = _reconstructed(observed._replace(declared=declared))
  assert len(found.features[0]) == told
  assert found.ledger.knows_length
  assert not _reconstructed(observed).ledger.knows_length


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    ({'num_utterances': 2}, '2 utterances; want 1'),
    ({'public': ()}, 'no public speech'),
  ],
)
def test_what_is_not_declared_so_is_refused(folder, change, said):
  _, observed = _observed(folder, 1e-5)
  declared = observed.declared._replace(**change)
  with pytest.raises(observation.Refused, match=said):
    _reconstructed(observed._replace(declared=declared))


def test_deltas_of_adam_are_refused(folder):
  _, observed = _observed(folder, 1e-5)
  client = dataclasses.replace(
    observed.client, optimizer=config.ClientOptimizer.ADAM
  )
  with pytest.raises(observation.Refused, match='adam'):
    _reconstructed(observed._replace(client=client))


@pytest.mark.parametrize(
  'code',
  [
    {'method': config.Compression.FLOAT16},
    {'method': config.Compression.BFLOAT16},
    {
      'method': config.Compression.INT8,
      'rounding': config.Rounding.NEAREST,
    },
    {
      'method': config.Compression.INT8,
      'rounding': config.Rounding.STOCHASTIC,
    },
  ],
)
def test_a_codes_error_is_as_large_as_it_is_said_to_be(folder, code):
  _, plain = _observed(folder, 0.0)
  _, coded = _observed(folder, 0.0, **code)
  error = observation.needed(coded, KERNEL) - observation.needed(plain, KERNEL)
  said = received_noise.deviation(coded, KERNEL)
  # Units that are never active have zeros, which codes keep.
  assert 0.5 * said < np.sqrt(np.mean(error**2)) < 1.3 * said


@pytest.mark.parametrize(
  'method', [config.Compression.SIGN, config.Compression.TOP_K]
)
def test_codes_that_are_no_noise_are_refused(folder, method):
  _, observed = _observed(folder, 0.0, method=method)
  with pytest.raises(observation.Refused, match='is not noise'):
    received_noise.deviation(observed, KERNEL)


def test_noises_deviation_is_of_the_update_that_is_seen(folder):
  _, plain = _observed(folder, 0.0)
  _, noisy = _observed(folder, 1e-3)
  error = observation.needed(noisy, KERNEL) - observation.needed(plain, KERNEL)
  said = received_noise.deviation(noisy, KERNEL)
  assert np.std(error) == pytest.approx(said, rel=0.05)


def test_whitened_speech_of_the_prior_has_its_moments():
  rng = np.random.default_rng(0)
  prior = speech_prior.SpeechPrior(
    np.array([1.0, -2.0]), np.array([[2.0, 0.0], [0.5, 1.0]]), 0.8
  )
  drawn = np.stack(
    [prior.speech(rng.standard_normal((6, 2))) for _ in range(20_000)]
  )
  covariance = prior.root @ prior.root.T
  np.testing.assert_allclose(drawn.mean((0, 1)), prior.mean, atol=0.05)
  lagged = (drawn[:, 0] - prior.mean).T @ (drawn[:, 3] - prior.mean) / 20_000
  np.testing.assert_allclose(lagged, 0.8**3 * covariance, atol=0.12)
  again = prior.whitened(prior.speech(drawn[0]))
  np.testing.assert_allclose(again, drawn[0], atol=1e-9)
  point, direction = rng.standard_normal((2, 6, 2))
  assert np.sum(prior.pulled_back(point) * direction) == pytest.approx(
    np.sum(point * (prior.speech(direction) - prior.mean))
  )


def test_directions_above_the_noise_are_counted():
  rng = np.random.default_rng(1)
  planted = rng.standard_normal((40, 7)) @ rng.standard_normal((7, 90))
  noise = 0.01 * rng.standard_normal((40, 90))
  assert capon_start.effective_rank(planted + noise, 0.01) == 7
