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
class AuditConfig:
  """Attacks that try to break what a run promises."""

  # The directory of a run; '': this config is trained first.
  run: str = ''
  round: int = bounded(-1, low=-1)
  # Of canaries, membership, speakers, exposure; (): all.
  parts: tuple[str, ...] = ()
  # Of every interval.
  confidence: float = bounded(0.95, above=0.5, below=1.0)
  speakers: AuditSpeakersConfig = dataclasses.field(
    default_factory=AuditSpeakersConfig
  )
