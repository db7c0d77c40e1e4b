"""The typed configuration: every field, its default and its valid range.

A config file returns a `Config` from `get_config(variant)`; flags override its
fields; `validation.validate` then runs once. Only the job modules see the
whole tree: every room below takes its own section.
"""

import dataclasses
import enum
import operator

from fedjax_asr.config.aggregation import AggregationConfig as AggregationConfig
from fedjax_asr.config.aggregation import Aggregator as Aggregator
from fedjax_asr.config.aggregation import OverBound as OverBound
from fedjax_asr.config.algorithms import AgnosticConfig as AgnosticConfig
from fedjax_asr.config.algorithms import AlgorithmName as AlgorithmName
from fedjax_asr.config.algorithms import ControlVariate as ControlVariate
from fedjax_asr.config.algorithms import DittoConfig as DittoConfig
from fedjax_asr.config.algorithms import FedBuffConfig as FedBuffConfig
from fedjax_asr.config.algorithms import FedDynConfig as FedDynConfig
from fedjax_asr.config.algorithms import FedProxConfig as FedProxConfig
from fedjax_asr.config.algorithms import FedRepConfig as FedRepConfig
from fedjax_asr.config.algorithms import (
  LossWeightedConfig as LossWeightedConfig,
)
from fedjax_asr.config.algorithms import MimeLiteConfig as MimeLiteConfig
from fedjax_asr.config.algorithms import QfflConfig as QfflConfig
from fedjax_asr.config.algorithms import ScaffoldConfig as ScaffoldConfig
from fedjax_asr.config.algorithms import WerWeightedConfig as WerWeightedConfig
from fedjax_asr.config.attack import AdamInverseConfig as AdamInverseConfig
from fedjax_asr.config.attack import AdaptiveConfig as AdaptiveConfig
from fedjax_asr.config.attack import AttackConfig as AttackConfig
from fedjax_asr.config.attack import AttackMethod as AttackMethod
from fedjax_asr.config.attack import ClientRoundsConfig as ClientRoundsConfig
from fedjax_asr.config.attack import DemixingConfig as DemixingConfig
from fedjax_asr.config.attack import Distance as Distance
from fedjax_asr.config.attack import FrameSource as FrameSource
from fedjax_asr.config.attack import HessianFreeConfig as HessianFreeConfig
from fedjax_asr.config.attack import ImprintConfig as ImprintConfig
from fedjax_asr.config.attack import MatchingConfig as MatchingConfig
from fedjax_asr.config.attack import MatchingOptimizer as MatchingOptimizer
from fedjax_asr.config.attack import Observed as Observed
from fedjax_asr.config.attack import Precision as Precision
from fedjax_asr.config.attack import SeedAndGrowConfig as SeedAndGrowConfig
from fedjax_asr.config.attack import Server as Server
from fedjax_asr.config.attack import SpanConfig as SpanConfig
from fedjax_asr.config.attack import SpanDescentConfig as SpanDescentConfig
from fedjax_asr.config.attack import SpeakerIdConfig as SpeakerIdConfig
from fedjax_asr.config.audit import AuditConfig as AuditConfig
from fedjax_asr.config.audit import AuditPart as AuditPart
from fedjax_asr.config.audit import AuditSpeakersConfig as AuditSpeakersConfig
from fedjax_asr.config.audit import CanaryConfig as CanaryConfig
from fedjax_asr.config.audit import ExposureConfig as ExposureConfig
from fedjax_asr.config.audit import MembershipConfig as MembershipConfig
from fedjax_asr.config.audit import PlantedBug as PlantedBug
from fedjax_asr.config.data import AugmentConfig as AugmentConfig
from fedjax_asr.config.data import Case as Case
from fedjax_asr.config.data import Corpus as Corpus
from fedjax_asr.config.data import DataConfig as DataConfig
from fedjax_asr.config.data import FeatureKind as FeatureKind
from fedjax_asr.config.data import FeaturesConfig as FeaturesConfig
from fedjax_asr.config.data import Grammar as Grammar
from fedjax_asr.config.data import Normalization as Normalization
from fedjax_asr.config.data import Numbers as Numbers
from fedjax_asr.config.data import OnBadUtterance as OnBadUtterance
from fedjax_asr.config.data import Punctuation as Punctuation
from fedjax_asr.config.data import SyntheticConfig as SyntheticConfig
from fedjax_asr.config.decoding import DecodeConfig as DecodeConfig
from fedjax_asr.config.decoding import Decoder as Decoder
from fedjax_asr.config.decoding import (
  LanguageModelConfig as LanguageModelConfig,
)
from fedjax_asr.config.decoding import LanguageUnit as LanguageUnit
from fedjax_asr.config.defences import Clipping as Clipping
from fedjax_asr.config.defences import Compression as Compression
from fedjax_asr.config.defences import CompressionConfig as CompressionConfig
from fedjax_asr.config.defences import LayerBounds as LayerBounds
from fedjax_asr.config.defences import Mechanism as Mechanism
from fedjax_asr.config.defences import PrivacyConfig as PrivacyConfig
from fedjax_asr.config.defences import Rounding as Rounding
from fedjax_asr.config.federated import ClientConfig as ClientConfig
from fedjax_asr.config.federated import ClientOptimizer as ClientOptimizer
from fedjax_asr.config.federated import DecayConfig as DecayConfig
from fedjax_asr.config.federated import DeviceMap as DeviceMap
from fedjax_asr.config.federated import FederatedConfig as FederatedConfig
from fedjax_asr.config.federated import MemoryConfig as MemoryConfig
from fedjax_asr.config.federated import MemoryPlace as MemoryPlace
from fedjax_asr.config.federated import Partition as Partition
from fedjax_asr.config.federated import Sampling as Sampling
from fedjax_asr.config.federated import Schedule as Schedule
from fedjax_asr.config.federated import ServerConfig as ServerConfig
from fedjax_asr.config.federated import ServerOptimizer as ServerOptimizer
from fedjax_asr.config.federated import Weighting as Weighting
from fedjax_asr.config.fields import ConfigError as ConfigError
from fedjax_asr.config.fields import UserError as UserError
from fedjax_asr.config.fields import as_dict as as_dict
from fedjax_asr.config.fields import bounded as bounded
from fedjax_asr.config.fields import from_dict as from_dict
from fedjax_asr.config.fields import plain as plain
from fedjax_asr.config.fields import walk as walk
from fedjax_asr.config.fields import wanted as wanted
from fedjax_asr.config.jobs import CheckpointConfig as CheckpointConfig
from fedjax_asr.config.jobs import ConvergeConfig as ConvergeConfig
from fedjax_asr.config.jobs import Cuts as Cuts
from fedjax_asr.config.jobs import EvaluateConfig as EvaluateConfig
from fedjax_asr.config.jobs import EvaluationConfig as EvaluationConfig
from fedjax_asr.config.jobs import ExportConfig as ExportConfig
from fedjax_asr.config.jobs import PersonaliseConfig as PersonaliseConfig
from fedjax_asr.config.jobs import ReportConfig as ReportConfig
from fedjax_asr.config.jobs import Subset as Subset
from fedjax_asr.config.jobs import TranscribeConfig as TranscribeConfig
from fedjax_asr.config.models import Architecture as Architecture
from fedjax_asr.config.models import Cell as Cell
from fedjax_asr.config.models import DeepSpeech1Config as DeepSpeech1Config
from fedjax_asr.config.models import DeepSpeech2Config as DeepSpeech2Config
from fedjax_asr.config.models import Dtype as Dtype
from fedjax_asr.config.models import ModelConfig as ModelConfig
from fedjax_asr.config.models import Norm as Norm
from fedjax_asr.config.recovery import RecoveryConfig as RecoveryConfig
from fedjax_asr.config.secure_aggregation import (
  SecureAggregationConfig as SecureAggregationConfig,
)
from fedjax_asr.config.systems import LateWork as LateWork
from fedjax_asr.config.systems import Speeds as Speeds
from fedjax_asr.config.systems import SystemsConfig as SystemsConfig

# Fields that follow the corpus (and the rounds) while they hold these values.
BY_CORPUS = {
  'data.num_heldout_speakers': -1,
  'federated.cohort_size': 0,
  'federated.num_rounds': 0,
  'federated.server.warmup_rounds': -1,
}


class Job(enum.StrEnum):
  """What `main` does; each is a module of `fedjax_asr.jobs`."""

  TRAIN = 'train'
  CONVERGE = 'converge'
  EVALUATE = 'evaluate'
  PERSONALISE = 'personalise'
  TRANSCRIBE = 'transcribe'
  EXPORT = 'export'
  REPORT = 'report'
  LANGUAGE_MODEL = 'language_model'
  ATTACK = 'attack'
  AUDIT = 'audit'


@dataclasses.dataclass(slots=True, kw_only=True)
class Config:
  """One run."""

  job: Job = Job.TRAIN
  # Directory name under runs/, when no --workdir is given; for a job on a
  # finished run, under that run's directory.
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
  recovery: RecoveryConfig = dataclasses.field(default_factory=RecoveryConfig)
  converge: ConvergeConfig = dataclasses.field(default_factory=ConvergeConfig)
  decode: DecodeConfig = dataclasses.field(default_factory=DecodeConfig)
  language_model: LanguageModelConfig = dataclasses.field(
    default_factory=LanguageModelConfig
  )
  evaluate: EvaluateConfig = dataclasses.field(default_factory=EvaluateConfig)
  personalise: PersonaliseConfig = dataclasses.field(
    default_factory=PersonaliseConfig
  )
  transcribe: TranscribeConfig = dataclasses.field(
    default_factory=TranscribeConfig
  )
  export: ExportConfig = dataclasses.field(default_factory=ExportConfig)
  report: ReportConfig = dataclasses.field(default_factory=ReportConfig)
  attack: AttackConfig = dataclasses.field(default_factory=AttackConfig)
  audit: AuditConfig = dataclasses.field(default_factory=AuditConfig)


def open_fields(config: Config) -> list[str]:
  """Those of `BY_CORPUS` that are left to the corpus, and noise to a target."""
  found = [
    path
    for path, value in BY_CORPUS.items()
    if operator.attrgetter(path)(config) == value
  ]
  privacy = config.federated.privacy
  if privacy.target_epsilon and not privacy.central_noise_multiplier:
    found.append('federated.privacy.central_noise_multiplier')
  return found
