"""The channel that a config describes."""

from fedjax_asr import config
from fedjax_asr.federated import channel, compression, privacy


def make(federated: config.FederatedConfig) -> channel.Channel:
  """Clipped, noised, coded: a code is made of what is already private."""
  stages = privacy.stages(federated)
  if federated.compression.method is not config.Compression.NONE:
    stages.append(compression.coding(federated.compression))
  return channel.chain(stages)
