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
# A pytree that the server keeps from round to round; () keeps nothing.
State = Any


class Sender(NamedTuple):
  """What a client sends by, in a round.

  key: the client's, of what anybody may know: which numbers a code rounds up.
  secret: the client's, of noise; who knows it can take the noise away.
  told: what the server said of the channel's state; () for most.
  """

  key: jax.Array
  secret: jax.Array
  told: Any = ()


class Channel(NamedTuple):
  """Pure functions of one client's message, and of the sum of all.

  client(message, memory, sender) -> (the message as the server decodes it, the
    memory, whether it was clipped)
  server(sums, state, key) -> (the sums with what the server does to them, its
    state); `key` is the round's, of noise. Of a chain, in reverse order.
  init(params) -> a client's memory before its first round; None: it keeps
    nothing, and its memory is ()
  init_server(params) -> the server's state before the first round; None: it
    keeps nothing, which is ()
  told(state) -> what clients are told of it
  """

  client: Callable[
    [algorithm.Message, Memory, Sender],
    tuple[algorithm.Message, Memory, Bool[Array, '']],
  ]
  server: Callable[
    [algorithm.Sums, State, jax.Array], tuple[algorithm.Sums, State]
  ] = lambda sums, state, key: (sums, state)
  init: Callable[[model.Params], Memory] | None = None
  init_server: Callable[[model.Params], State] | None = None
  told: Callable[[State], Any] = lambda state: ()


def of_params(
  function: Callable[[model.Params, Sender], model.Params],
) -> Channel:
  """A channel that changes the parameters' update and nothing else."""

  def client(message, memory, sender):
    params = function(message.update.params, sender)
    return with_params(message, params), memory, jnp.array(False)

  return Channel(client)


def untouched(
  message: algorithm.Message, memory: Memory, sender: Sender
) -> tuple[algorithm.Message, Memory, Bool[Array, '']]:
  """Of a channel that is the server's alone."""
  del sender
  return message, memory, jnp.array(False)


def with_params(
  message: algorithm.Message, params: model.Params
) -> algorithm.Message:
  """The message with another update of the parameters."""
  return message._replace(update=message.update._replace(params=params))


def chain(channels: Sequence[Channel]) -> Channel:
  """One after another; none at all changes nothing.

  Its memory and its state hold one entry for each channel that keeps some.
  """
  remembers = [each.init is not None for each in channels]
  has_state = [each.init_server is not None for each in channels]

  def client(message, memory, sender):
    own = _spread(memory, remembers)
    told = _spread(sender.told, has_state)
    was_clipped = jnp.array(False)
    for index, each in enumerate(channels):
      message, own[index], clipped = each.client(
        message, own[index], sender._replace(told=told[index])
      )
      was_clipped |= clipped
    return message, _gathered(own, remembers), was_clipped

  def server(sums, state, key):
    own = _spread(state, has_state)
    for index in reversed(range(len(channels))):
      sums, own[index] = channels[index].server(sums, own[index], key)
    return sums, _gathered(own, has_state)

  def told(state):
    own = _spread(state, has_state)
    said = [each.told(one) for each, one in zip(channels, own, strict=True)]
    return _gathered(said, has_state)

  return Channel(
    client=client,
    server=server,
    init=_initial([each.init for each in channels]),
    init_server=_initial([each.init_server for each in channels]),
    told=told,
  )


def _initial(inits: Sequence[Callable | None]) -> Callable | None:
  """A tuple of what each that keeps something begins with."""
  keeping = [init for init in inits if init is not None]
  if not keeping:
    return None
  return lambda params: tuple(init(params) for init in keeping)


def _spread(entries: tuple, keeps: Sequence[bool]) -> list:
  """One for each channel, () where it keeps nothing."""
  left = iter(entries)
  return [next(left) if each else () for each in keeps]


def _gathered(entries: Sequence, keeps: Sequence[bool]) -> tuple:
  """Those of channels that keep something."""
  return tuple(
    entry for entry, each in zip(entries, keeps, strict=True) if each
  )
