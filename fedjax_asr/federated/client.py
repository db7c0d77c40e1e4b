"""One client of a round by itself: what an attack observes."""

import jax
import jax.numpy as jnp

from fedjax_asr.federated import algorithm, cohort


def message(
  method: algorithm.Algorithm,
  broadcast: algorithm.Broadcast,
  participant: algorithm.Participant,
  memory: algorithm.Memory,
  batches: cohort.Batch,
  key: jax.Array,
) -> tuple[algorithm.Message, algorithm.Memory]:
  """What the client hands to its channel, after a step on each of `batches`.

  `block` does the same for many clients at once. Differentiable any number of
  times where the gradient and the client's optimizer are.

  Args:
    method: the algorithm.
    broadcast: of the round.
    participant: the client.
    memory: what it kept.
    batches: their leading axis are the steps.
    key: the client's in the round.
  """

  def advance(state, inputs):
    index, batch = inputs
    step_key = jax.random.fold_in(key, index)
    return method.step(broadcast, state, batch, step_key), None

  start = method.start(broadcast, participant, memory)
  steps = jnp.arange(len(batches.num_frames))
  state, _ = jax.lax.scan(advance, start, (steps, batches))
  return method.finish(broadcast, state)
