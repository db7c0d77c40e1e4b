"""The channel that a config describes."""

from fedjax_asr import config
from fedjax_asr.federated import channel, compression, privacy


def make(
  privacy_config: config.PrivacyConfig,
  compression_config: config.CompressionConfig,
) -> channel.Channel:
  """Clipped, noised, coded: a code is made of what is already private."""
  stages = []
  clip_norm = privacy_config.clip_norm
  if clip_norm:
    stages.append(privacy.clipping(clip_norm))
  if privacy_config.local_noise_multiplier:
    stddev = privacy_config.local_noise_multiplier * clip_norm
    stages.append(privacy.client_noise(stddev))
  if privacy_config.central_noise_multiplier:
    stddev = privacy_config.central_noise_multiplier * clip_norm
    stages.append(privacy.server_noise(stddev))
  if compression_config.method is not config.Compression.NONE:
    stages.append(compression.coding(compression_config))
  return channel.chain(stages)
