"""Frames put in order by the states that they lead to."""

import numpy as np
import pytest
import small_front

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.ds2 import frame_order


@pytest.mark.parametrize('norm', [config.Norm.LAYER, config.Norm.NONE])
def test_one_utterance_is_put_in_its_order(norm):
  observed, _, (frames,) = small_front.observed((21,), norm)
  shuffled = np.random.default_rng(0).permutation(len(frames))
  found = frame_order.order(observed, small_front.unit(frames)[shuffled])
  (chain,) = found.utterances
  np.testing.assert_array_equal(shuffled[list(chain)], np.arange(len(frames)))
  assert found.residual < 1e-4
  assert found.margin > 1e3


def test_two_utterances_are_told_apart():
  observed, _, frames = small_front.observed((16, 11), config.Norm.NONE)
  together = small_front.unit(np.concatenate(frames))
  shuffled = np.random.default_rng(0).permutation(len(together))
  found = frame_order.order(observed, together[shuffled])
  chains = sorted(tuple(shuffled[list(each)]) for each in found.utterances)
  assert chains == [tuple(range(8)), tuple(range(8, 14))]


def test_lengths_follow_from_the_bias():
  observed, _, (frames,) = small_front.observed((21,), config.Norm.NONE)
  found = frame_order.scaled(observed, small_front.unit(frames))
  np.testing.assert_allclose(found, frames, rtol=1e-3, atol=1e-4)


def test_frames_of_another_utterance_are_refused():
  observed, _, _ = small_front.observed((21,))
  rng = np.random.default_rng(0)
  others = small_front.unit(np.maximum(rng.standard_normal((11, 96)), 0))
  with pytest.raises(observation.Refused, match='no frame leads'):
    frame_order.order(observed, others)
