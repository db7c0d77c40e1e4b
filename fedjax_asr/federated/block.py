"""A block of clients: local training, vmapped.

Written for one client by an `algorithm.Algorithm`; here is where its clients
become an axis.
"""

import functools
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fedjax_asr.federated import algorithm, client, cohort

# Which of a client's values have an axis of clients while all are the
# server's; its memory always has.
_SHARED = algorithm.ClientState(
  *[typing.cast(Any, None)] * 6,
  memory=0,
)


class Step(NamedTuple):
  """One local step of all clients of a block.

  bucket: which frame length is computed; 0: nobody has this step.
  """

  number: Int[Array, '']
  bucket: Int[cohort.AnyArray, '']
  indices: Int[cohort.AnyArray, 'clients batch']


class Training(NamedTuple):
  """Local training of a block.

  frame_buckets: ascending; a step is computed at one of these lengths.
  """

  method: algorithm.Algorithm
  frame_buckets: Sequence[int]

  def __call__(
    self,
    broadcast: algorithm.Broadcast,
    members: cohort.Cohort,
    memories: algorithm.Memory,
    keys: jax.Array,
  ) -> algorithm.ClientState:
    """The clients after all their steps, outermost axis the clients.

    Args:
      broadcast: of the round.
      members: of this block, without the axes of devices and blocks.
      memories: of these clients, [clients, ...].
      keys: of these clients in the round.
    """
    num_steps = len(members.bucket)
    steps = Step(jnp.arange(num_steps), members.bucket, members.indices)
    stepped = functools.partial(
      self._stepped, broadcast, members.utterances, keys
    )
    axes = _SHARED if _shares_first_step(self.method, num_steps) else 0
    state = jax.vmap(self.method.start, (None, 0, 0), axes)(
      broadcast,
      algorithm.Participant(members.client_ids, members.staleness),
      memories,
    )
    if axes is _SHARED:
      first = jax.tree.map(lambda leaf: leaf[0], steps)
      state = stepped(state, first, axes)
      steps = jax.tree.map(lambda leaf: leaf[1:], steps)
      if num_steps == 1:
        return state
    return jax.lax.scan(
      lambda state, step: (stepped(state, step, 0), None), state, steps
    )[0]

  def _stepped(self, broadcast, utterances, keys, state, step: Step, axes):
    """After one step, at the shortest length that holds it.

    `axes`: of `state`. Where all clients still have the server's weights, what
    multiplies them is one product for all clients.
    """
    step_keys = jax.vmap(client.step_key, (0, None))(keys, step.number)
    advance = jax.vmap(self.method.step, (None, axes, 0, 0))

    def at_length(frames):
      def run(state, utterances, indices, step_keys):
        batch = jax.vmap(cohort.gathered, (0, 0, None))(
          utterances, indices, frames
        )
        return advance(broadcast, state, batch, step_keys)

      return run

    def skipped(state, utterances, indices, step_keys):
      del utterances, indices, step_keys
      size = len(keys)
      return jax.vmap(lambda each: each, (axes,), 0, axis_size=size)(state)

    branches = [skipped, *map(at_length, self.frame_buckets)]
    return jax.lax.switch(
      step.bucket, branches, state, utterances, step.indices, step_keys
    )


def _shares_first_step(method: algorithm.Algorithm, num_steps: int) -> bool:
  """Whether it is compiled by itself, which doubles what is compiled.

  On CPUs weights need not travel, and one step of several gains less than its
  compilation takes.
  """
  if not method.shares_start:
    return False
  return num_steps == 1 or jax.default_backend() != 'cpu'
