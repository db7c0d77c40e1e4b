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
  # For its masks to be found more than this fraction of a client's neighbours
  # have to send, and for a sum to be told more than this fraction of all drawn.
  threshold: float = bounded(0.5, above=0.0, below=1.0)
