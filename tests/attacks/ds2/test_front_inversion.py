"""Features found from what the convolutions make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import small_front

from fedjax_asr import config
from fedjax_asr.attacks.ds2 import front_inversion

CFG = config.DemixingConfig()


def test_features_are_found_up_to_scale_from_frames_directions():
  observed, (speech,), (frames,) = small_front.observed((21,))
  wanted = front_inversion.problem(small_front.unit(frames), 21)
  start = front_inversion.descended(observed, wanted, CFG, jax.random.key(0))
  found = front_inversion.polished(observed, wanted, CFG, start.features)
  values = np.asarray(found.features)
  np.testing.assert_array_equal(values[21:], 0)
  scale = (values[:21] * speech).sum() / np.square(values).sum()
  np.testing.assert_allclose(scale * values[:21], speech, atol=1e-3)
  assert found.residual < 1e-11 < start.residual


def test_the_truth_leaves_no_residual():
  observed, (speech,), (frames,) = small_front.observed((21,))
  wanted = front_inversion.problem(small_front.unit(frames), 21)
  assert front_inversion.residual(observed, wanted, jnp.asarray(speech)) < 1e-12
  assert (
    front_inversion.residual(observed, wanted, jnp.asarray(speech[::-1])) > 0.1
  )
