import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.matching import speech_penalty
from fedjax_asr.speech import features as features_lib

LENGTHS = (5, 2)
SPEECH = features_lib.Statistics(
  np.array([1.0, -2.0, 0.5], np.float32), np.array([2.0, 0.5, 1e-9], np.float32)
)


def speech(garbage=0.0):
  rng = np.random.default_rng(0)
  padded = np.full((2, 5, 3), garbage, np.float32)
  for row, length in zip(padded, LENGTHS, strict=True):
    row[:length] = rng.standard_normal((length, 3))
  return padded


def by_hand(name, utterances):
  in_time = np.concatenate([np.diff(item, axis=0) for item in utterances])
  x = np.concatenate(utterances)
  # A feature that is nearly constant is not blown up.
  std = np.maximum(SPEECH.std, 0.01)
  return {
    'l1': np.abs(x).mean(),
    'l2': (x**2).mean(),
    'total_variation_time': np.abs(in_time).mean(),
    'total_variation_frequency': np.abs(np.diff(x, axis=1)).mean(),
    'first_difference': (in_time**2).mean(),
    'speech_prior': (((x - SPEECH.mean) / std) ** 2).mean() / 2,
  }[name]


NAMES = (
  'l1',
  'l2',
  'total_variation_time',
  'total_variation_frequency',
  'first_difference',
  'speech_prior',
)


def penalty(values, **weights):
  cfg = config.MatchingConfig(**weights)
  return speech_penalty.penalty(
    cfg, SPEECH, jnp.asarray(values), jnp.array(LENGTHS)
  )


@pytest.mark.parametrize('name', NAMES)
def test_each_penalty_is_numpys_mean_inside_utterances(name):
  values = speech(garbage=1e3)
  inside = [row[:length] for row, length in zip(values, LENGTHS, strict=True)]
  np.testing.assert_allclose(
    penalty(values, **{name: 0.3}), 0.3 * by_hand(name, inside), rtol=1e-5
  )


def test_penalties_add_up_and_none_is_zero():
  values = speech()
  assert penalty(values) == 0
  each = sum(float(penalty(values, **{name: 0.5})) for name in NAMES)
  together = penalty(values, **dict.fromkeys(NAMES, 0.5))
  np.testing.assert_allclose(together, each, rtol=1e-5)


def test_one_frame_has_no_differences_in_time():
  value = speech_penalty.penalty(
    config.MatchingConfig(total_variation_time=1.0, first_difference=1.0),
    SPEECH,
    jnp.ones((1, 1, 3)),
    jnp.ones(1, jnp.int32),
  )
  assert value == 0
