"""A server that sees the sum of a round's updates and none of them."""

import dataclasses

from fedjax_asr.config.fields import bounded


@dataclasses.dataclass(slots=True, kw_only=True)
class SecureAggregationConfig:
  """Masks that cancel in the sum, simulated as the protocol is run."""

  enabled: bool = False
  # Clients that each one shares masks and secrets with, an even number; 0: so
  # many that hardly a round is lost to federated.systems.dropout.
  degree: int = bounded(0, low=0)
  # More than this fraction of a client's neighbours have to send for its masks
  # to be found, and more than this fraction of those drawn for a sum to be told.
  threshold: float = bounded(0.5, above=0.0, below=1.0)
