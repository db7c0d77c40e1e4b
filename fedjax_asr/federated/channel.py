"""What happens to a message between a client and the server's sum.

As optax chains transformations of gradients: clipping, noise, coding, each a
`Channel` of its own (`privacy`, `compression`). What the server adds up is
`weight * update` of what comes out, so that a sum of coded messages is what it
would see. Only the parameters' update passes through; `norm_state`, the weight
and an algorithm's extra are sent as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from fedjax_asr.federated import algorithm
from fedjax_asr.models import model

# A pytree that a client keeps from round to round; () keeps nothing.
Memory = Any


class Channel(NamedTuple):
  """Pure functions of one client's message, and of the sum of all.

  init(params) -> a client's memory before its first round; None: it keeps
    nothing, and its memory is ()
  client(message, memory, key) -> (the message as the server decodes it, the
    memory, whether it was clipped); `key` is the client's in the round
  server(sums, key) -> the sums with what the server does to them; `key` is the
    round's. Of a chain, in reverse order.
  """

  init: Callable[[model.Params], Memory] | None
  client: Callable[
    [algorithm.Message, Memory, jax.Array],
    tuple[algorithm.Message, Memory, Bool[Array, '']],
  ]
  server: Callable[[algorithm.Sums, jax.Array], algorithm.Sums]


def of_params(
  function: Callable[[model.Params, jax.Array], model.Params],
) -> Channel:
  """A channel that changes the parameters' update and nothing else."""

  def client(message, memory, key):
    params = function(message.update.params, key)
    return with_params(message, params), memory, jnp.array(False)

  return Channel(None, client, lambda sums, key: sums)


def with_params(
  message: algorithm.Message, params: model.Params
) -> algorithm.Message:
  """The message with another update of the parameters."""
  return message._replace(update=message.update._replace(params=params))


def chain(channels: Sequence[Channel]) -> Channel:
  """One after another; none at all changes nothing.

  Its memory holds one entry for each channel that keeps something.
  """
  inits = [each.init for each in channels if each.init is not None]

  def client(message, memory, key):
    before, after = iter(memory), []
    was_clipped = jnp.array(False)
    for each in channels:
      own = next(before) if each.init is not None else ()
      message, own, clipped = each.client(message, own, key)
      was_clipped |= clipped
      if each.init is not None:
        after.append(own)
    return message, tuple(after), was_clipped

  def server(sums, key):
    for each in reversed(channels):
      sums = each.server(sums, key)
    return sums

  return Channel(
    init=(lambda params: tuple(init(params) for init in inits))
    if inits
    else None,
    client=client,
    server=server,
  )
