"""One client of a round by itself: what an attack observes."""

import jax
import jax.numpy as jnp

from fedjax_asr import streams
from fedjax_asr.federated import algorithm, cohort


def step_key(key: jax.Array, number: streams.Index) -> jax.Array:
  """Of one local step, from the client's key in the round."""
  return streams.of_client(key, streams.ClientStream.STEP, number)


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
    number, batch = inputs
    return method.step(broadcast, state, batch, step_key(key, number)), None

  start = method.start(broadcast, participant, memory)
  steps = jnp.arange(len(batches.num_frames))
  state, _ = jax.lax.scan(advance, start, (steps, batches))
  return method.finish(broadcast, state)
