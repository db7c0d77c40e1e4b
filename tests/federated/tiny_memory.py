"""What clients keep in tests of their memory: leaves of several types."""

import jax.numpy as jnp

from fedjax_asr.federated import rounds
from fedjax_asr.models import model

PARAMS = {'w': jnp.array([1.5, -2.0])}


def initial(params, norm_state):
  """Before a client's first round; a function of the server's values."""
  return rounds.ClientMemory(
    algorithm={
      'v': params['w'],
      'half': jnp.zeros(3, jnp.bfloat16),
      'flag': jnp.array(True),
    },
    channel=(jnp.int32(7) + norm_state['n'],),
  )


# Of which memories take the shapes of their parameters.
ACOUSTIC = model.Model(
  lambda key: (PARAMS, {'n': jnp.int32(0)}),
  lambda *_: None,
  lambda frames: frames,
)
