"""Whether a run keeps what it promises, and what can be had of it."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class AuditPart(enum.StrEnum):
  """What an audit measures, each by itself."""

  # Random clients in a training of their own: an epsilon that was reached.
  CANARIES = 'canaries'
  # Which utterances, and which speakers, were trained on.
  MEMBERSHIP = 'membership'
  # Whose update it is, and of whom, without reconstruction.
  SPEAKERS = 'speakers'
  # Sentences that were planted, and what the model makes of them.
  EXPOSURE = 'exposure'


class PlantedBug(enum.StrEnum):
  """What is wrong, on purpose, with the mechanism that is audited."""

  NONE = 'none'
  # The first layer gets no noise; updates are not clipped; every round has the
  # noise of the first.
  FORGOTTEN_LAYER = 'forgotten_layer'
  NO_CLIPPING = 'no_clipping'
  REPLAYED_NOISE = 'replayed_noise'


@dataclasses.dataclass(slots=True, kw_only=True)
class CanaryConfig:
  """A training like the run's, with random clients among the others."""

  # That take part, as any client does; as many never do, and half as many that
  # the attacker learns from.
  num_canaries: int = bounded(200, low=20)
  # Rounds of that training; 0: the run's.
  num_rounds: int = bounded(0, low=0)
  # Of what a canary hands to its channel; 0: ten times privacy.clip_norm, or
  # without one what clients of the run send, in the median.
  norm: float = bounded(0.0, low=0.0)
  # To see that the audit finds it.
  planted_bug: PlantedBug = PlantedBug.NONE


@dataclasses.dataclass(slots=True, kw_only=True)
class AuditSpeakersConfig:
  """Speakers and what they are like, told from updates of other speech."""

  # Drawn of all with enough to say; 0: all of them.
  num_speakers: int = bounded(200, low=0)
  # Behind each update, the same of all: how many would tell who it is. Whoever
  # has fewer than twice as many is left out.
  num_utterances: int = bounded(10, low=1)
  # Of speakers; each is tested by what was fitted on the others.
  num_folds: int = bounded(5, low=2)
  # Draws of speakers, for the intervals.
  num_resamples: int = bounded(1000, low=1)
  # Impostors' scores that are kept to be drawn, of each method.
  num_scores: int = bounded(500, low=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class MembershipConfig:
  """Which utterances and which speakers a run was trained on."""

  # Trainings of the run's config without a random half of its utterances, and
  # without a random half of its speakers. 0: none, and no score by them.
  num_shadows: int = bounded(16, low=0)
  num_speaker_shadows: int = bounded(16, low=0)
  # Of each; 0: as many as are behind the audited one.
  num_rounds: int = bounded(0, low=0)
  # Shadows that are trained at once; 0: all.
  num_parallel: int = bounded(0, low=0)
  # Utterances whose losses are computed at once.
  batch_size: int = bounded(32, low=1)
  # Noise that is added to a candidate: how often, and in standard deviations
  # of its features.
  num_perturbations: int = bounded(4, low=0)
  perturbation_scale: float = bounded(0.1, above=0.0)
  # Of RMIA: how the likelihood under models that were trained on a candidate
  # follows from that under others, and how many times likelier it has to be.
  rmia_offline_a: float = bounded(0.3, low=0.0, high=1.0)
  rmia_gamma: float = bounded(1.0, above=0.0)
  # Clients of the audited round whose updates are compared with candidates.
  num_observed: int = bounded(8, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ExposureConfig:
  """Whether sentences that were planted can be had of the model again."""

  # How often each client has its sentence, and sentences of each kind.
  repeats: tuple[int, ...] = bounded((1, 4, 16), low=1)
  num_sentences: int = bounded(4, low=1)
  # Random symbols of a sentence.
  num_symbols: int = bounded(10, low=2)
  # That go on from the audited one, with the sentences planted.
  num_rounds: int = bounded(20, low=1)
  # Other sentences of the same format that each is ranked among.
  num_candidates: int = bounded(4095, low=15)


@dataclasses.dataclass(slots=True, kw_only=True)
class AuditConfig:
  """Attacks that try to break what a run promises."""

  # The directory of a run; '': this config is trained first.
  run: str = ''
  round: int = bounded(-1, low=-1)
  # Of canaries, membership, speakers, exposure; (): all.
  parts: tuple[str, ...] = ()
  # Of every interval.
  confidence: float = bounded(0.95, above=0.5, below=1.0)
  canaries: CanaryConfig = dataclasses.field(default_factory=CanaryConfig)
  speakers: AuditSpeakersConfig = dataclasses.field(
    default_factory=AuditSpeakersConfig
  )
  membership: MembershipConfig = dataclasses.field(
    default_factory=MembershipConfig
  )
  exposure: ExposureConfig = dataclasses.field(default_factory=ExposureConfig)
