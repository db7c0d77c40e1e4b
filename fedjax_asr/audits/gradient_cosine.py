"""Whether a client's update points where a candidate's gradient does.

What a client trained on has pulled its update: the cosine between the update
and the gradient of one candidate, at the values that the client began with, is
a score of membership.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fedjax_asr.federated import cohort
from fedjax_asr.models import ctc, model

# (params, norm_state, update, candidates) -> a cosine of each candidate.
CosineFn = Callable[
  [model.Params, model.NormState, model.Params, cohort.Batch],
  Float[Array, ' batch'],
]


def make(acoustic: model.Model) -> CosineFn:
  """Jitted; candidates one at a time: a gradient is as large as the model.

  An update is the server's values minus the client's, and so along the
  gradient. NaN where one of the two is zero.
  """

  def loss(params, norm_state, one):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, one.features, one.num_frames, train=False
    )
    return ctc.loss(logits, num_outputs, one.labels, one.num_labels).sum()

  def cosines(params, norm_state, update, candidates):
    length = optax.tree.norm(update)

    def cosine(item):
      one = jax.tree.map(lambda leaf: leaf[None], item)
      gradient = jax.grad(loss)(params, norm_state, one)
      product = optax.tree.vdot(update, gradient)
      both = length * optax.tree.norm(gradient)
      return jnp.where(both > 0, product / both, jnp.nan)

    return jax.lax.map(cosine, candidates)

  return jax.jit(cosines)
