"""The typed configuration: every field, its default and its valid range.

A config file returns a `Config` from `get_config(variant)`; flags override its
fields; `validation.validate` then runs once. Only the job modules see the
whole tree: every room below takes its own section.
"""

import dataclasses
import enum
import math
import typing
from collections.abc import Iterator
from typing import Any


class UserError(ValueError):
  """A mistake that the user can mend; `main` prints it as one line."""


class ConfigError(UserError):
  """A field holds a value that cannot work."""


class Corpus(enum.StrEnum):
  SYNTHETIC = 'synthetic'
  MANIFEST = 'manifest'
  LIBRISPEECH = 'librispeech'
  FSDD = 'fsdd'


class Grammar(enum.StrEnum):
  DIGITS = 'digits'
  GRID = 'grid'
  COMMANDS = 'commands'


class OnBadUtterance(enum.StrEnum):
  SKIP = 'skip'
  ERROR = 'error'


class FeatureKind(enum.StrEnum):
  LOG_MEL = 'log_mel'
  LOG_SPECTROGRAM = 'log_spectrogram'
  MFCC = 'mfcc'


class Normalization(enum.StrEnum):
  UTTERANCE = 'utterance'
  GLOBAL = 'global'
  NONE = 'none'


class Cell(enum.StrEnum):
  GRU = 'gru'
  LSTM = 'lstm'
  RNN = 'rnn'


class Norm(enum.StrEnum):
  LAYER = 'layer'
  BATCH = 'batch'
  GROUP = 'group'
  NONE = 'none'


class Dtype(enum.StrEnum):
  FLOAT32 = 'float32'
  BFLOAT16 = 'bfloat16'


class Partition(enum.StrEnum):
  SPEAKER = 'speaker'
  DIRICHLET = 'dirichlet'
  IID = 'iid'
  SIZE = 'size'


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


class Schedule(enum.StrEnum):
  CONSTANT = 'constant'
  LINEAR = 'linear'
  COSINE = 'cosine'


class Weighting(enum.StrEnum):
  UTTERANCES = 'utterances'
  FRAMES = 'frames'
  UNIFORM = 'uniform'


def bounded(
  default: Any,
  low: float = -math.inf,
  high: float = math.inf,
  *,
  above: float = -math.inf,
  below: float = math.inf,
) -> Any:
  """A field whose number (or each number of a tuple) lies in a range.

  `low` and `high` are allowed values themselves, `above` and `below` are not.
  """
  metadata = {'low': low, 'high': high, 'above': above, 'below': below}
  return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(slots=True, kw_only=True)
class SyntheticConfig:
  """The synthesised corpus; a speaker is a function of (seed, index)."""

  grammar: Grammar = Grammar.COMMANDS
  num_speakers: int = bounded(120, low=1)
  utterances_per_speaker: int = bounded(24, low=1)
  seed: int = bounded(0, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class DataConfig:
  """Where utterances come from, and which of them may be trained on."""

  corpus: Corpus = Corpus.SYNTHETIC
  # A manifest, a LibriSpeech tree or an FSDD folder; '' for synthetic.
  path: str = ''
  # A corpus of the same form for held-out speakers; '': taken from `path`.
  heldout_path: str = ''
  num_heldout_speakers: int = bounded(12, low=0)
  heldout_utterance_fraction: float = bounded(0.05, low=0.0, below=1.0)
  # Leave out of training every transcript that a held-out set contains.
  disjoint_transcripts: bool = False
  max_seconds: float = bounded(20.0, above=0.0)
  on_bad_utterance: OnBadUtterance = OnBadUtterance.SKIP
  cache_dir: str = '~/.cache/fedjax_asr'
  # Processes that compute features; 0: one per core.
  num_workers: int = bounded(0, low=0)
  synthetic: SyntheticConfig = dataclasses.field(
    default_factory=SyntheticConfig
  )


@dataclasses.dataclass(slots=True, kw_only=True)
class FeaturesConfig:
  """Waveform to features, [frames, num_features]."""

  kind: FeatureKind = FeatureKind.LOG_MEL
  sample_rate: int = bounded(16_000, low=1000)
  num_features: int = bounded(80, low=1)
  fft_size: int = bounded(512, low=2)
  window_ms: float = bounded(25.0, above=0.0)
  hop_ms: float = bounded(10.0, above=0.0)
  # Mel bands, for log_mel (= num_features) and mfcc (>= num_features).
  num_mels: int = bounded(80, low=1)
  low_hz: float = bounded(0.0, low=0.0)
  high_hz: float = bounded(8000.0, above=0.0)
  # The least power (magnitude, for log_spectrogram) under the logarithm.
  log_floor: float = bounded(1e-8, above=0.0)
  normalization: Normalization = Normalization.UTTERANCE


@dataclasses.dataclass(slots=True, kw_only=True)
class AugmentConfig:
  """SpecAugment (Park et al. 2019), without time warping; 0 masks: off."""

  num_time_masks: int = bounded(0, low=0)
  max_time_mask_frames: int = bounded(40, low=0)
  # A time mask covers at most this fraction of an utterance.
  max_time_mask_fraction: float = bounded(0.2, low=0.0, high=1.0)
  num_frequency_masks: int = bounded(0, low=0)
  max_frequency_mask_bins: int = bounded(15, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ModelConfig:
  """DeepSpeech 2; a tuple has one entry per convolution."""

  conv_channels: tuple[int, ...] = bounded((32, 32), low=1)
  conv_time_kernels: tuple[int, ...] = bounded((11, 11), low=1)
  conv_frequency_kernels: tuple[int, ...] = bounded((41, 21), low=1)
  conv_time_strides: tuple[int, ...] = bounded((2, 1), low=1)
  conv_frequency_strides: tuple[int, ...] = bounded((2, 2), low=1)
  cell: Cell = Cell.GRU
  num_recurrent_layers: int = bounded(3, low=1)
  recurrent_size: int = bounded(512, low=1)
  bidirectional: bool = True
  norm: Norm = Norm.LAYER
  num_norm_groups: int = bounded(8, low=1)
  norm_momentum: float = bounded(0.9, low=0.0, below=1.0)
  # On the outputs of each recurrent layer, while training.
  dropout: float = bounded(0.0, low=0.0, below=1.0)
  # Operands of matrix products; parameters and sums stay float32.
  dtype: Dtype = Dtype.FLOAT32


@dataclasses.dataclass(slots=True, kw_only=True)
class ClientConfig:
  """Local training of one client in one round."""

  optimizer: ClientOptimizer = ClientOptimizer.SGD
  learning_rate: float = bounded(0.1, above=0.0)
  schedule: Schedule = Schedule.CONSTANT
  momentum: float = bounded(0.9, low=0.0, below=1.0)
  batch_size: int = bounded(8, low=1)
  # Local work: this many passes, or, when not 0, this many steps.
  local_epochs: int = bounded(1, low=1)
  local_steps: int = bounded(0, low=0)
  # Utterances of a client that one round uses at most; 0: all.
  max_utterances: int = bounded(0, low=0)
  # Global norm at which a local gradient is clipped; 0: never.
  clip_norm: float = bounded(0.0, low=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ServerConfig:
  """The step that the server takes along the mean client delta."""

  optimizer: ServerOptimizer = ServerOptimizer.SGD
  learning_rate: float = bounded(1.0, above=0.0)
  schedule: Schedule = Schedule.CONSTANT
  warmup_rounds: int = bounded(0, low=0)
  momentum: float = bounded(0.9, low=0.0, below=1.0)
  beta2: float = bounded(0.99, low=0.0, below=1.0)
  epsilon: float = bounded(1e-8, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class FederatedConfig:
  """Population, cohort and round."""

  num_rounds: int = bounded(100, low=1)
  cohort_size: int = bounded(8, low=1)
  partition: Partition = Partition.SPEAKER
  # Clients of the dirichlet, iid and size partitions.
  num_clients: int = bounded(100, low=1)
  # Concentration of the dirichlet partition.
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


@dataclasses.dataclass(slots=True, kw_only=True)
class EvaluationConfig:
  """Greedy WER and CER on the held-out sets."""

  every_rounds: int = bounded(10, low=1)
  batch_size: int = bounded(32, low=1)
  # Utterances of a held-out set that are used at most; 0: all.
  max_utterances: int = bounded(0, low=0)
  num_examples: int = bounded(3, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class CheckpointConfig:
  """Which rounds are kept."""

  every_rounds: int = bounded(10, low=1)
  keep_last: int = bounded(2, low=1)
  keep_best: int = bounded(1, low=0)
  # Rounds divisible by this are kept for good; 0: none.
  keep_every: int = bounded(0, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class Config:
  """One run."""

  # Directory name under runs/, when no --workdir is given.
  name: str = 'run'
  seed: int = bounded(0, low=0, below=2**32)
  data: DataConfig = dataclasses.field(default_factory=DataConfig)
  features: FeaturesConfig = dataclasses.field(default_factory=FeaturesConfig)
  augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
  model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
  federated: FederatedConfig = dataclasses.field(
    default_factory=FederatedConfig
  )
  evaluation: EvaluationConfig = dataclasses.field(
    default_factory=EvaluationConfig
  )
  checkpoint: CheckpointConfig = dataclasses.field(
    default_factory=CheckpointConfig
  )


def walk(node: Any, path: str = 'config') -> Iterator[tuple]:
  """Yields (path, field, declared type, value) of every leaf field."""
  hints = typing.get_type_hints(type(node))
  for field in dataclasses.fields(node):
    value = getattr(node, field.name)
    field_path = f'{path}.{field.name}'
    if dataclasses.is_dataclass(value):
      yield from walk(value, field_path)
    else:
      yield field_path, field, hints[field.name], value


def as_dict(config: Config) -> dict[str, Any]:
  """Plain dictionaries and lists, as `json.dumps` takes them."""
  return plain(dataclasses.asdict(config))


def plain(value: Any) -> Any:
  """Enums as their values, tuples as lists, throughout."""
  match value:
    case dict():
      return {key: plain(item) for key, item in value.items()}
    case tuple() | list():
      return [plain(item) for item in value]
    case enum.Enum():
      return value.value
  return value
