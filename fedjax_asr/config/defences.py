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
  QUANTIZED = 'quantized'
  SIGN = 'sign'
  TOP_K = 'top_k'
  RANDOM_K = 'random_k'


class Rounding(enum.StrEnum):
  STOCHASTIC = 'stochastic'
  NEAREST = 'nearest'


class Clipping(enum.StrEnum):
  FLAT = 'flat'
  PER_LAYER = 'per_layer'
  ADAPTIVE = 'adaptive'


class LayerBounds(enum.StrEnum):
  """How per-layer clipping shares out the norm."""

  UNIFORM = 'uniform'
  DIMENSION = 'dimension'


class Mechanism(enum.StrEnum):
  """Whose noise is on the sum, and how that of one round goes with others."""

  INDEPENDENT = 'independent'
  BANDED = 'banded'
  DISTRIBUTED = 'distributed'


@dataclasses.dataclass(slots=True, kw_only=True)
class PrivacyConfig:
  """Differential privacy of a client: clipping, Gaussian noise, accounting."""

  # Global norm at which a client's update is clipped; 0: never.
  clip_norm: float = bounded(0.0, low=0.0)
  # Of the whole update; of each layer, so that all together are no longer; or
  # at a norm that begins with clip_norm and follows the clients' own.
  clipping: Clipping = Clipping.FLAT
  # Of per_layer: equal for all layers, or by the root of their size.
  layer_bounds: LayerBounds = LayerBounds.UNIFORM
  # Of adaptive: the share of clients that are not clipped.
  quantile: float = bounded(0.5, above=0.0, below=1.0)
  # Of adaptive: how fast the norm follows it.
  quantile_learning_rate: float = bounded(0.2, above=0.0)
  # Of adaptive: standard deviation of the noise on how many are not clipped,
  # over the cohort; 0: a twentieth.
  count_noise: float = bounded(0.0, low=0.0)
  # Standard deviation, over clip_norm, of the noise that each client adds.
  local_noise_multiplier: float = bounded(0.0, low=0.0)
  # Of the noise on the sum of a round (mechanism says whose), over clip_norm.
  central_noise_multiplier: float = bounded(0.0, low=0.0)
  # The central_noise_multiplier is found that spends this epsilon by the last
  # round, of the population where one is given; 0: it is given.
  target_epsilon: float = bounded(0.0, low=0.0)
  # Of every epsilon that is told.
  delta: float = bounded(1e-5, above=0.0, below=1.0)
  # The server's noise: of each round by itself, or of up to num_bands rounds
  # together, in which a client takes part once (banded matrix factorisation).
  # distributed: each client of federated.secure_aggregation adds a share of it,
  # so that the server never sees a sum without.
  mechanism: Mechanism = Mechanism.INDEPENDENT
  # Of banded: rounds from one chance of a client to take part to its next.
  num_bands: int = bounded(1, low=1)
  # Clients beyond which Poisson sampling cuts a cohort; 0: so many that it
  # happens with a probability of 1e-15 a round at most.
  max_cohort: int = bounded(0, low=0)
  # Epsilon is told also for a population of so many clients, with the same
  # noise on the mean, as if training came out the same; 0: it is not.
  population: int = bounded(0, low=0)
  # Clients that a round expects of population; 0: cohort_size.
  population_cohort: int = bounded(0, low=0)
  # Of noise and sampling. -1: drawn by the operating system and kept in the
  # run's noise_seed.secret; any other stands in config.json for all to read,
  # and is for experiments.
  noise_seed: int = bounded(-1, low=-1, below=2**32)

  @property
  def is_central(self) -> bool:
    """Whether the sum of a round is noised."""
    return bool(self.central_noise_multiplier or self.target_epsilon)

  @property
  def has_noise(self) -> bool:
    """Of the server or of clients; sampling then is part of the guarantee."""
    return self.is_central or bool(self.local_noise_multiplier)

  @property
  def period(self) -> int:
    """Rounds from one chance of a client to be drawn to its next."""
    return self.num_bands if self.mechanism is Mechanism.BANDED else 1

  def count_deviation(self, cohort_size: int) -> float:
    """Clients: of the noise on how many were not clipped."""
    return (self.count_noise or 1 / 20) * cohort_size


@dataclasses.dataclass(slots=True, kw_only=True)
class CompressionConfig:
  """How a client codes its update; docs/communication.md has the bytes."""

  method: Compression = Compression.NONE
  # Of int8 and quantized.
  rounding: Rounding = Rounding.STOCHASTIC
  # Of quantized: bits of a number.
  bits: int = bounded(4, low=1, high=8)
  # Of top_k and random_k: the fraction of an update's numbers that is sent, the
  # largest or any.
  top_fraction: float = bounded(0.1, above=0.0, high=1.0)
  # What the code loses is kept by the client, and added to what it sends when
  # it takes part the next time.
  error_feedback: bool = False
