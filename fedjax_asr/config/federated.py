"""Population, clients, server."""

import dataclasses
import enum

from fedjax_asr.config.aggregation import AggregationConfig
from fedjax_asr.config.algorithms import (
  AgnosticConfig,
  AlgorithmName,
  DittoConfig,
  FedBuffConfig,
  FedDynConfig,
  FedProxConfig,
  FedRepConfig,
  LossWeightedConfig,
  MimeLiteConfig,
  QfflConfig,
  ScaffoldConfig,
  WerWeightedConfig,
)
from fedjax_asr.config.defences import CompressionConfig, PrivacyConfig
from fedjax_asr.config.fields import bounded
from fedjax_asr.config.secure_aggregation import SecureAggregationConfig
from fedjax_asr.config.systems import SystemsConfig


class Partition(enum.StrEnum):
  SPEAKER = 'speaker'
  DIRICHLET = 'dirichlet'
  TRANSCRIPT = 'transcript'
  IID = 'iid'
  SIZE = 'size'


class Sampling(enum.StrEnum):
  """Who is in a round."""

  # cohort_size clients, without replacement.
  FIXED = 'fixed'
  # Each by itself, so that cohort_size are expected.
  POISSON = 'poisson'


class DeviceMap(enum.StrEnum):
  SHARD_MAP = 'shard_map'
  PMAP = 'pmap'


class ClientOptimizer(enum.StrEnum):
  SGD = 'sgd'
  MOMENTUM = 'momentum'
  ADAM = 'adam'


class ServerOptimizer(enum.StrEnum):
  SGD = 'sgd'
  MOMENTUM = 'momentum'
  ADAM = 'adam'
  YOGI = 'yogi'
  ADAGRAD = 'adagrad'
  LAMB = 'lamb'
  LARS = 'lars'


class Schedule(enum.StrEnum):
  CONSTANT = 'constant'
  LINEAR = 'linear'
  COSINE = 'cosine'
  # Of the server alone; does not end at zero.
  EXPONENTIAL = 'exponential'


class Weighting(enum.StrEnum):
  UTTERANCES = 'utterances'
  FRAMES = 'frames'
  UNIFORM = 'uniform'
  STEPS = 'steps'


@dataclasses.dataclass(slots=True, kw_only=True)
class ClientConfig:
  """Local training of one client in one round."""

  optimizer: ClientOptimizer = ClientOptimizer.SGD
  learning_rate: float = bounded(0.1, above=0.0)
  schedule: Schedule = Schedule.CONSTANT
  momentum: float = bounded(0.9, low=0.0, below=1.0)
  # Utterances; at most, where batch_frames limits them too.
  batch_size: int = bounded(8, low=1)
  # Of local epochs: frames of a batch, each of its utterances being as long as
  # the longest; a longer utterance is a batch of its own. 0: no limit.
  batch_frames: int = bounded(0, low=0)
  # Local work: this many passes, or, when not 0, this many steps.
  local_epochs: int = bounded(1, low=1)
  local_steps: int = bounded(0, low=0)
  # Utterances of a client that one round uses at most; 0: all.
  max_utterances: int = bounded(0, low=0)
  # Global norm at which a local gradient is clipped; 0: never.
  clip_norm: float = bounded(0.0, low=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class DecayConfig:
  """Of server.schedule=exponential: factor ** ((round - begin) / every)."""

  # Rounds behind the warm-up before the rate begins to fall.
  begin: int = bounded(0, low=0)
  factor: float = bounded(0.6, above=0.0, high=1.0)
  every: int = bounded(500, low=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class ServerConfig:
  """The step that the server takes along the mean client delta."""

  optimizer: ServerOptimizer = ServerOptimizer.SGD
  learning_rate: float = bounded(1.0, above=0.0)
  schedule: Schedule = Schedule.CONSTANT
  decay: DecayConfig = dataclasses.field(default_factory=DecayConfig)
  # -1: a tenth of the rounds, 10 at most.
  warmup_rounds: int = bounded(0, low=-1)
  momentum: float = bounded(0.9, low=0.0, below=1.0)
  beta2: float = bounded(0.99, low=0.0, below=1.0)
  epsilon: float = bounded(1e-8, above=0.0)
  # A running average of the values after each round, of so many that 1 over
  # their number is 1 - ema_decay, is what is evaluated and made use of; clients
  # are sent the values themselves. 0: no average.
  ema_decay: float = bounded(0.0, low=0.0, below=1.0)


class MemoryPlace(enum.StrEnum):
  AUTO = 'auto'
  DEVICE = 'device'
  HOST = 'host'
  DISK = 'disk'


@dataclasses.dataclass(slots=True, kw_only=True)
class MemoryConfig:
  """What clients keep from round to round, for algorithms that keep some."""

  # While training: on each device, in this machine's memory, or read from the
  # disk round by round; auto: the first of these of whose memory it takes a
  # quarter at most (devices: unless they are CPUs).
  where: MemoryPlace = MemoryPlace.AUTO


@dataclasses.dataclass(slots=True, kw_only=True)
class FederatedConfig:
  """Population, cohort and round."""

  algorithm: AlgorithmName = AlgorithmName.FEDAVG
  # Length of training: this many rounds, or, when 0, as many as it takes until
  # clients have trained on num_utterances, each pass over one counted.
  num_rounds: int = bounded(100, low=0)
  num_utterances: int = bounded(0, low=0)
  # A run directory whose last parameters training starts from (a seed model).
  init_from: str = ''
  # Clients of a round; 0: 8 of them, or all where there are fewer.
  cohort_size: int = bounded(8, low=0)
  sampling: Sampling = Sampling.FIXED
  # speaker: by who holds the speech, where the corpus names clients;
  # transcript: by first words, or first characters of scripts without spaces.
  partition: Partition = Partition.SPEAKER
  # Clients of every partition but speaker.
  num_clients: int = bounded(100, low=1)
  # Concentration of the dirichlet and transcript partitions.
  dirichlet_alpha: float = bounded(0.5, above=0.0)
  # Exponent of the size partition: sizes fall as rank ** -exponent.
  size_exponent: float = bounded(1.0, low=0.0)
  weighting: Weighting = Weighting.UTTERANCES
  # Clients vmapped at once on a device; the others follow in a scan.
  block_size: int = bounded(8, low=1)
  # Frame lengths at which a step may be computed; each is compiled once.
  num_frame_buckets: int = bounded(3, low=1, high=16)
  # Devices on the client axis; 0: all there are.
  num_devices: int = bounded(0, low=0)
  device_map: DeviceMap = DeviceMap.SHARD_MAP
  client: ClientConfig = dataclasses.field(default_factory=ClientConfig)
  server: ServerConfig = dataclasses.field(default_factory=ServerConfig)
  fedprox: FedProxConfig = dataclasses.field(default_factory=FedProxConfig)
  scaffold: ScaffoldConfig = dataclasses.field(default_factory=ScaffoldConfig)
  feddyn: FedDynConfig = dataclasses.field(default_factory=FedDynConfig)
  mimelite: MimeLiteConfig = dataclasses.field(default_factory=MimeLiteConfig)
  qffl: QfflConfig = dataclasses.field(default_factory=QfflConfig)
  agnostic: AgnosticConfig = dataclasses.field(default_factory=AgnosticConfig)
  loss_weighted: LossWeightedConfig = dataclasses.field(
    default_factory=LossWeightedConfig
  )
  wer_weighted: WerWeightedConfig = dataclasses.field(
    default_factory=WerWeightedConfig
  )
  privacy: PrivacyConfig = dataclasses.field(default_factory=PrivacyConfig)
  compression: CompressionConfig = dataclasses.field(
    default_factory=CompressionConfig
  )
  memory: MemoryConfig = dataclasses.field(default_factory=MemoryConfig)
  ditto: DittoConfig = dataclasses.field(default_factory=DittoConfig)
  fedrep: FedRepConfig = dataclasses.field(default_factory=FedRepConfig)
  systems: SystemsConfig = dataclasses.field(default_factory=SystemsConfig)
  aggregation: AggregationConfig = dataclasses.field(
    default_factory=AggregationConfig
  )
  secure_aggregation: SecureAggregationConfig = dataclasses.field(
    default_factory=SecureAggregationConfig
  )
  fedbuff: FedBuffConfig = dataclasses.field(default_factory=FedBuffConfig)
