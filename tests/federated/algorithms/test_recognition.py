"""Weights by word error rate, of a recogniser whose logits are its features."""

import jax.numpy as jnp
import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import (
  fedavg,
  recognition,
  score_weighted,
)
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets

SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=0.1)
)


def heard(letter, said):
  """An utterance of one frame: a word of one letter, or silence."""
  x = np.zeros(alphabets.ENGLISH.size)
  x[alphabets.ENGLISH.symbols.index(letter)] = 1
  return tuple(x), alphabets.ENGLISH.symbols.index(said)


# Rates of 1 in 3, of 0, and of 1; the silence is a word that was not heard.
CLIENTS = (
  linear.Data([[heard('a', 'a'), heard('b', 'c')], [heard('d', 'd')]]),
  linear.Data([[heard('z', 'z')]]),
  linear.Data([[heard('_', 'x')]]),
)


def echo():
  """Every utterance is heard as its features say, whatever the parameters."""

  def apply(params, norm_state, features, num_frames, *, train, key=None):
    assert not train
    assert key is None
    return jnp.asarray(features), jnp.asarray(num_frames), norm_state

  return model.Model(
    init=lambda key: ({}, {}), apply=apply, num_output_frames=lambda n: n
  )


@pytest.mark.parametrize('temperature', [-1.0, 0.2])
@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_weights_are_exponential_in_the_rate(
  temperature, block_size, num_devices
):
  method = score_weighted.score_weighted(
    fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UTTERANCES),
    recognition.word_error_rate(echo()),
    temperature,
  )
  simulation = linear.Simulation(
    method, SETTINGS, CLIENTS, block_size=block_size, num_devices=num_devices
  )
  ids = linear.members(CLIENTS, range(3), block_size, num_devices).client_ids
  wanted = np.array([3, 1, 1]) * np.exp(np.array([1 / 3, 0, 1]) / temperature)
  for _ in range(2):
    reports = simulation.round().reports
    weights = np.zeros(3)
    weights[ids[ids >= 0]] = reports.weight[ids >= 0]
    np.testing.assert_allclose(
      weights / weights.sum(), wanted / wanted.sum(), rtol=1e-4
    )
