"""Private updates: what the channel does for it, by a config (DP-FedAvg).

McMahan et al. 2018. Each client's update is clipped, the sum is noised, and
divided by a number that is public. What that guarantees is computed by
`accountant`. All that is sent must be an update of parameters, of a client that
weighs 1: `validation` refuses what is not. Noise is Gaussian in float32, whose
gaps are no part of the proof (SHARP_EDGES).
"""

from fedjax_asr import config
from fedjax_asr.federated import (
  adaptive_clipping,
  banded_noise,
  channel,
  clipping,
  noise,
)


def stages(federated: config.FederatedConfig) -> list[channel.Channel]:
  """What happens to a message for the sake of privacy, in order."""
  cfg, cohort_size = federated.privacy, federated.cohort_size
  if not cfg.clip_norm:
    return []
  match cfg.clipping:
    case config.Clipping.ADAPTIVE:
      return [adaptive_clipping.adaptive(cfg, cohort_size)]
    case config.Clipping.PER_LAYER:
      found = [clipping.per_layer(cfg.clip_norm, cfg.layer_bounds)]
    case config.Clipping.FLAT:
      found = [clipping.flat(cfg.clip_norm)]
  if cfg.local_noise_multiplier:
    found.append(noise.of_client(cfg.local_noise_multiplier * cfg.clip_norm))
  stddev = cfg.central_noise_multiplier * cfg.clip_norm
  if not stddev:
    return found
  found.append(noise.by_public_cohort(cohort_size))
  match cfg.mechanism:
    case config.Mechanism.INDEPENDENT:
      found.append(noise.of_server(stddev))
    case config.Mechanism.BANDED:
      found.append(
        banded_noise.of_server(stddev, cfg.num_bands, federated.num_rounds)
      )
    case config.Mechanism.DISTRIBUTED:
      pass  # It is on the messages (`secure_sum`).
  return found
