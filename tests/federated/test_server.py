"""The server's step and the average of what it came to."""

import jax.numpy as jnp
import numpy as np
import optax

from fedjax_asr.federated import algorithm, server


def _rounds(deltas, ema_decay):
  """States after each delta, from 5, by steps of rate 1."""
  optimizer = optax.sgd(1.0)
  params = {'w': jnp.float32(5)}
  state = server.ServerState(
    params=params,
    norm_state={'mean': jnp.float32(1)},
    opt_state=optimizer.init(params),
    round=jnp.int32(0),
    average=server.Values({'w': jnp.float32(0)}, {'mean': jnp.float32(0)}),
  )
  for delta in deltas:
    update = algorithm.Update({'w': delta}, {'mean': -delta})
    state = server.stepped(state, update, (), optimizer, ema_decay)
    yield state


def _averages(states):
  found = [server.evaluated(state) for state in states]
  return (
    [float(values.params['w']) for values in found],
    [float(values.norm_state['mean']) for values in found],
  )


def test_an_average_is_the_mean_until_it_is_exponential():
  """Values are 4, 2, 6, 3, and statistics 2, 4, 0, 3; 1 - 2/3 is a third."""
  params, statistics = _averages(_rounds([1.0, 2.0, -4.0, 3.0], 2 / 3))
  np.testing.assert_allclose(params, [4, 3, 4, 4 + (3 - 4) / 3], rtol=1e-6)
  np.testing.assert_allclose(statistics, [2, 3, 2, 2 + (3 - 2) / 3], rtol=1e-6)


def test_an_average_changes_nothing_of_training():
  (*_, state) = _rounds([1.0, 2.0, -4.0, 3.0], 0.9)
  assert float(state.params['w']) == 3


def test_without_an_average_the_values_are_made_use_of():
  (state,) = _rounds([1.0], 0.9)
  alone = server.evaluated(state._replace(average=()))
  assert alone == (state.params, state.norm_state)
