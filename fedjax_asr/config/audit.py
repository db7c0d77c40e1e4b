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
class AuditConfig:
  """Attacks that try to break what a run promises."""

  # The directory of a run; '': this config is trained first.
  run: str = ''
  round: int = bounded(-1, low=-1)
  # Of canaries, membership, speakers, exposure; (): all.
  parts: tuple[str, ...] = ()
  # Of every interval.
  confidence: float = bounded(0.95, above=0.5, below=1.0)
