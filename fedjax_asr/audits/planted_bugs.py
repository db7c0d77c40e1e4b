"""Channels that break their promise in a known way.

What an audit is tried on: one that finds none of these finds nothing.
"""

import jax

from fedjax_asr import config, streams
from fedjax_asr.federated import channel, channels, noise, privacy


def channel_with(
  federated: config.FederatedConfig, bug: config.PlantedBug
) -> channel.Channel:
  """The channel of a config, which has noise of the server, with a bug.

  forgotten_layer: the model's first layer, by name, gets no noise.
  no_clipping: clients send what they like.
  replayed_noise: every round has the noise of the first.
  """
  honest = channels.make(federated)
  match bug:
    case config.PlantedBug.NONE:
      return honest
    case config.PlantedBug.FORGOTTEN_LAYER:
      return _server(honest, _with_one_layer_bare)
    case config.PlantedBug.REPLAYED_NOISE:
      return _server(honest, _with_one_key)
    case config.PlantedBug.NO_CLIPPING:
      stages = privacy.stages(federated)
      return channel.chain([_without_clipping(stages[0]), *stages[1:]])


def _server(line: channel.Channel, spoiled) -> channel.Channel:
  return line._replace(server=spoiled(line.server))


def _with_one_layer_bare(server):
  def spoiled(sums, state, key):
    received, state = server(sums, state, key)
    first = min(sums.update.params)
    params = received.update.params | {first: sums.update.params[first]}
    return noise.with_sum(received, params), state

  return spoiled


def _with_one_key(server):
  def spoiled(sums, state, key):
    del key
    fixed = streams.of_root(jax.random.key(0), streams.Stream.SERVER_NOISE, 0)
    return server(sums, state, fixed)

  return spoiled


def _without_clipping(stage: channel.Channel) -> channel.Channel:
  """What else the stage does, at the server and for it, it goes on doing."""

  def client(message, memory, sender):
    received, memory, _ = stage.client(message, memory, sender)
    return (
      received._replace(update=message.update),
      memory,
      jax.numpy.array(False),
    )

  return stage._replace(client=client)
