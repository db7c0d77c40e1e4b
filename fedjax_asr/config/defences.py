"""What a client does to its update before it sends it, and the server's noise.

Both are part of training; an attack observes what they leave.
"""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Compression(enum.StrEnum):
  NONE = 'none'
  FLOAT16 = 'float16'
  BFLOAT16 = 'bfloat16'
  INT8 = 'int8'
  SIGN = 'sign'
  TOP_K = 'top_k'


class Rounding(enum.StrEnum):
  STOCHASTIC = 'stochastic'
  NEAREST = 'nearest'


@dataclasses.dataclass(slots=True, kw_only=True)
class PrivacyConfig:
  """Clipping and Gaussian noise; no epsilon is computed."""

  # Global norm at which a client's update is clipped; 0: never.
  clip_norm: float = bounded(0.0, low=0.0)
  # Standard deviation over clip_norm: of the noise that each client adds, and
  # of the noise that the server adds to the sum.
  local_noise_multiplier: float = bounded(0.0, low=0.0)
  central_noise_multiplier: float = bounded(0.0, low=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class CompressionConfig:
  """How a client codes its update; nothing is carried to the next round."""

  method: Compression = Compression.NONE
  # Of int8.
  rounding: Rounding = Rounding.STOCHASTIC
  # Of top_k: the fraction of an update's numbers, largest first, that is sent.
  top_fraction: float = bounded(0.1, above=0.0, high=1.0)
