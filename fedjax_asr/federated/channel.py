"""What happens to a message between a client and the server's sum.

As optax chains transformations of gradients: clipping, noise, coding, each a
`Channel` of its own. Of a message only the parameters' update passes through;
`norm_state`, the weight and an algorithm's extra are sent as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.federated import algorithm, compression, privacy


class Channel(NamedTuple):
  """Pure functions of one client's message, and of the mean of all.

  client(message, key) -> the message as the server decodes it; `key` is the
    client's in the round
  server(mean, weight, key) -> the mean of updates that weigh `weight` in all,
    with what the server adds; `key` is the round's
  """

  client: Callable[[algorithm.Message, jax.Array], algorithm.Message]
  server: Callable[
    [algorithm.Update, Float[Array, ''], jax.Array], algorithm.Update
  ]


def make(
  privacy_config: config.PrivacyConfig,
  compression_config: config.CompressionConfig,
) -> Channel:
  """Clipped, noised, coded: a code is made of what is already private."""
  return chain(
    [
      Channel(
        client=_of_params(
          lambda params, key: privacy.of_client(params, privacy_config, key)
        ),
        server=lambda mean, weight, key: mean._replace(
          params=privacy.of_server(mean.params, weight, privacy_config, key)
        ),
      ),
      Channel(
        client=_of_params(
          lambda params, key: compression.compressed(
            params, compression_config, key
          )
        ),
        server=lambda mean, weight, key: mean,
      ),
    ]
  )


def chain(channels: Sequence[Channel]) -> Channel:
  """One after another; at the server, in reverse order."""

  def client(message, key):
    for each in channels:
      message = each.client(message, key)
    return message

  def server(mean, weight, key):
    for each in reversed(channels):
      mean = each.server(mean, weight, key)
    return mean

  return Channel(client, server)


def _of_params(function: Callable[[Any, jax.Array], Any]):
  def client(message, key):
    update = message.update
    params = function(update.params, key)
    return message._replace(update=update._replace(params=params))

  return client
