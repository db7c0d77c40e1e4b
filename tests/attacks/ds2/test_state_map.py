"""The linear map between frames and the states before them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_front

from fedjax_asr import config
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.attacks.ds2 import frame_order, state_map


@functools.cache
def _mapped(norm, direction):
  observed, _, (frames,) = small_front.observed((21,), norm)
  update = observation.needed(observed, frame_order.INPUT)
  spanned = subspace.column_space(update)
  found = state_map.state_map(observed, spanned, direction)
  return observed, frames[:: -1 if direction else 1], found


def _states(observed, frames, direction):
  """Before each frame, computed by the cell from the true frames."""
  _, _, found = _mapped(observed.model.ds2.norm, direction)
  step = frame_order.stepper(observed, found.states, direction)
  state, states = None, [np.zeros(64)]
  for frame in frames[:-1]:
    given = frame_order.projected(observed, frame[None], direction)
    (state,), _ = jax.device_get(step(given, state))
    states.append(state.astype(np.float64))
  return np.stack(states)


@pytest.mark.parametrize('direction', [0, 1])
@pytest.mark.parametrize('norm', [config.Norm.LAYER, config.Norm.NONE])
def test_the_first_frame_is_what_no_state_explains(norm, direction):
  observed, frames, found = _mapped(norm, direction)
  first = found.basis @ found.first[:, 0]
  unit = frames[0] / np.linalg.norm(frames[0])
  np.testing.assert_allclose(abs(first @ unit), 1, atol=1e-9)
  assert found.gap > 1e3
  lengths = state_map.first_frames(observed, found, unit[None], direction)
  if norm is config.Norm.NONE:
    np.testing.assert_allclose(lengths[0], frames[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('direction', [0, 1])
@pytest.mark.parametrize('norm', [config.Norm.LAYER, config.Norm.NONE])
def test_states_and_frames_lead_to_each_other(norm, direction):
  observed, frames, found = _mapped(norm, direction)
  states = _states(observed, frames, direction)
  if norm is config.Norm.LAYER:
    kernel = observed.params['recurrent_0']['input_kernel']
    products = np.asarray(frames @ np.asarray(kernel, np.float64))
    frames = frames / products.std(1, keepdims=True)
  known = frames @ found.basis
  np.testing.assert_allclose(known @ found.before.T, states, atol=1e-3)
  rest = known - known @ found.first @ found.first.T
  np.testing.assert_allclose(
    states[1:] @ found.after.T, rest[1:], atol=1e-3 * np.abs(rest).max()
  )


def test_a_group_norm_is_undone_where_its_group_has_outputs_enough():
  observed, _, (frames,) = small_front.observed((21,), config.Norm.GROUP)
  update = observation.needed(observed, frame_order.INPUT)
  found = state_map.state_map(observed, subspace.column_space(update), 0)
  first = found.basis @ found.first[:, 0]
  unit = frames[0] / np.linalg.norm(frames[0])
  np.testing.assert_allclose(abs(first @ unit), 1, atol=1e-9)


def test_too_few_outputs_in_common_are_refused():
  observed, _, _ = small_front.observed((81,))
  spanned = subspace.column_space(
    observation.needed(observed, frame_order.INPUT)
  )
  narrow = jnp.zeros_like(observed.update['recurrent_0']['recurrent_kernel'])
  update = observed.update | {
    'recurrent_0': observed.update['recurrent_0'] | {'recurrent_kernel': narrow}
  }
  with pytest.raises(observation.Refused, match='zero throughout'):
    state_map.state_map(observed._replace(update=update), spanned, 0)
