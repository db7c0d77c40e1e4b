"""Clients that send a random direction, to audit what the others are promised.

Andrew et al. 2023 (arXiv 2302.03098): each canary is a client with a direction
of its own, in which nobody else moves the model much. Some take part in
training as any client does, others never; how far what the server publishes
goes along their directions tells how well anybody can tell the two apart.
Directions are signs, of 32 numbers a random word, made where they are needed:
no canary takes memory.
"""

from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fedjax_asr import streams
from fedjax_asr.federated import algorithm, channel
from fedjax_asr.models import model

# Canaries whose directions are there at once.
_AT_ONCE = 8
_WORD = 32


class Canaries(NamedTuple):
  """Those of one training.

  num_in: those that take part; the others, up to `num_canaries`, never do.
  norm: of what each hands to its channel.
  rate: the probability of one that may be in a round, by itself.
  period: rounds from one chance to the next, as clients have it.
  key: of directions and of who takes part.
  """

  num_canaries: int
  num_in: int
  norm: float
  rate: float
  period: int
  key: jax.Array

  def present(self, round_index: streams.Index) -> Bool[Array, ' canaries']:
    """Who is in a round."""
    key = streams.of_root(self.key, streams.Stream.CANARY_ROUNDS, round_index)
    drawn = jax.random.bernoulli(key, self.rate, (self.num_canaries,))
    indices = jnp.arange(self.num_canaries)
    is_turn = (indices + round_index) % self.period == 0
    return drawn & is_turn & (indices < self.num_in)

  def update(self, like: model.Params, index: streams.Index) -> model.Params:
    """What a canary hands to its channel."""
    signs = self._signs(like, index)
    count = sum(leaf.size for leaf in jax.tree.leaves(like))
    return jax.tree.map(lambda leaf: self.norm / count**0.5 * leaf, signs)

  def _signs(self, like: model.Params, index: streams.Index) -> model.Params:
    flat, unflatten = jax.flatten_util.ravel_pytree(
      jax.tree.map(jnp.zeros_like, like)
    )
    key = streams.of_root(self.key, streams.Stream.CANARY, index)
    words = jax.random.bits(key, (-(-flat.size // _WORD),), jnp.uint32)
    bits = (words[:, None] >> jnp.arange(_WORD, dtype=jnp.uint32)) & 1
    signs = 2.0 * bits.ravel()[: flat.size].astype(jnp.float32) - 1.0
    return unflatten(signs)

  def added(
    self,
    sums: algorithm.Sums,
    line: channel.Channel,
    told: Any,
    round_index: streams.Index,
    secret: jax.Array,
  ) -> algorithm.Sums:
    """With what those that are in the round send, by the clients' channel."""
    params = sums.update.params
    memory = line.init(params) if line.init else ()
    nothing = jax.tree.map(jnp.zeros_like, sums)

    def sent(index):
      key = streams.of_root(
        secret, streams.Stream.CANARY_NOISE, round_index, index
      )
      message = algorithm.Message(
        update=algorithm.Update(
          self.update(params, index), nothing.update.norm_state
        ),
        extra=(),
        weight=jnp.float32(1.0),
      )
      received, _, _ = line.client(
        message, memory, channel.Sender(key, key, told)
      )
      return algorithm.Sums(*received)

    def add(total, inputs):
      index, is_there = inputs
      return jax.lax.cond(
        is_there,
        lambda: jax.tree.map(jnp.add, total, sent(index)),
        lambda: total,
      ), None

    indices = jnp.arange(self.num_canaries)
    there = self.present(round_index)
    # Who never takes part needs no step.
    own = indices[: self.num_in], there[: self.num_in]
    return jax.lax.scan(add, sums, own)[0]

  def projections(
    self, params: model.Params
  ) -> Float[Array, 'canaries layers']:
    """How far a sum goes along each direction, layer by layer.

    In units in which a vector along the canary's own is as long as it is.
    """

    def along(index):
      signs = self._signs(params, index)
      return jnp.stack(
        [
          sum(
            jnp.vdot(sign, leaf, precision='highest')
            for sign, leaf in zip(
              *map(jax.tree.leaves, (signs[name], params[name])), strict=True
            )
          )
          / layer_size(params[name]) ** 0.5
          for name in sorted(params)
        ]
      )

    return jax.lax.map(
      along, jnp.arange(self.num_canaries), batch_size=_AT_ONCE
    )


def layer_size(layer: Any) -> int:
  """Its numbers."""
  return sum(leaf.size for leaf in jax.tree.leaves(layer))
