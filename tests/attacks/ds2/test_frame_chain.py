"""Frames that follow from the states before them."""

import jax
import numpy as np
import pytest
import small_front

from fedjax_asr import config
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.attacks.ds2 import frame_chain


def _found(observed):
  update = observation.needed(observed, 'recurrent_0/input_kernel')
  spanned = subspace.column_space(update)
  return frame_chain.frames(
    observed, spanned, jax.random.key(0), lambda line: None
  )


def _error(found, frames):
  """Of the least like of all frames."""
  likeness = small_front.unit(np.concatenate(frames)) @ found.directions.T
  return 1 - likeness.max(1).min()


@pytest.mark.parametrize('norm', [config.Norm.LAYER, config.Norm.NONE])
def test_frames_beyond_a_sixth_of_the_units_are_found_in_their_order(norm):
  """41 in 96 units."""
  observed, _, (frames,) = small_front.observed((81,), norm)
  found = _found(observed)
  np.testing.assert_allclose(
    found.directions, small_front.unit(frames), atol=1e-5
  )
  np.testing.assert_array_equal(found.num_zeros, (frames == 0).sum(1))


def test_two_utterances_have_a_chain_each():
  for norm in config.Norm.LAYER, config.Norm.BATCH:
    observed, _, frames = small_front.observed((21, 15), norm)
    found = _found(observed)
    assert len(found.directions) == 19
    assert _error(found, frames) < 1e-9


def test_a_frame_that_occurs_twice_leaves_no_chain():
  observed, _, _ = small_front.observed((21,))
  update = observation.needed(observed, 'recurrent_0/input_kernel')
  spanned = subspace.column_space(update)
  fewer = spanned._replace(basis=spanned.basis[:, :-1])
  with pytest.raises(observation.Refused, match='one before each'):
    frame_chain.frames(observed, fewer, jax.random.key(0), lambda line: None)


def test_batch_norm_in_training_mode_is_refused():
  observed, _, _ = small_front.observed((21,), config.Norm.BATCH, trains=True)
  with pytest.raises(observation.Refused, match='batch norm'):
    _found(observed)


def test_states_of_another_update_end_the_chain():
  observed, _, _ = small_front.observed((21,))
  name, leaf = 'recurrent_0', 'recurrent_kernel'
  rng = np.random.default_rng(0)
  size = 64
  turned, _ = np.linalg.qr(rng.standard_normal((size, size)))
  update = jax.device_get(observed.update)
  module = update[name] | {leaf: np.asarray(turned @ update[name][leaf])}
  found = _found(observed._replace(update=update | {name: module}))
  assert len(found.directions) <= 2
