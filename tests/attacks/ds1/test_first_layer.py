"""The first layer of DeepSpeech 1 as an attack sees it."""

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.ds1 import first_layer

SHAPE = context_windows.Shape(1, 1, 2)


def _observed(update, observed=config.Observed.DELTA):
  params = {
    'kernel': np.full((6, 3), 2.0, np.float32),
    'bias': np.full(3, 5.0, np.float32),
  }
  return observation.Observation(
    update={'dense_0': update},
    params={'dense_0': params},
    norm_state={},
    acoustic=None,
    model=config.ModelConfig(architecture=config.Architecture.DS1),
    features=config.FeaturesConfig(),
    client=config.ClientConfig(),
    observed=observed,
    num_steps=1,
    learning_rate=0.1,
    round=0,
    declared=observation.Declared(),
  )


KERNEL = np.full((6, 3), 0.5, np.float32)
SCALE = np.array([1.0, 10.0])


def test_a_delta_tells_where_the_parameters_end():
  observed = _observed({'kernel': KERNEL, 'bias': np.ones(3, np.float32)})
  found = first_layer.parameters(observed, SCALE, SHAPE)
  kernel, bias = found.end
  np.testing.assert_allclose(kernel[:, 0], 3 * [1.5, 15.0])
  np.testing.assert_allclose(found.kernel[:, 0], 3 * [2.0, 20.0])
  np.testing.assert_allclose(bias, 4.0)


@pytest.mark.parametrize('update', [{}, {'bias': np.zeros(3, np.float32)}])
def test_a_bias_that_tells_nothing_ends_where_it_starts(update):
  observed = _observed({'kernel': KERNEL, **update})
  found = first_layer.parameters(observed, SCALE, SHAPE)
  np.testing.assert_array_equal(found.end[1], found.bias)
  assert first_layer.candidates(observed, SHAPE)[0].layer.bias is None


def test_a_gradient_ends_nowhere():
  observed = _observed({'kernel': KERNEL}, config.Observed.GRADIENT)
  assert first_layer.parameters(observed, SCALE, SHAPE).end is None
