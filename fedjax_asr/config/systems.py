"""How fast clients are, who of them drops out, and how long a server waits."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Speeds(enum.StrEnum):
  """Where the seconds of a client's local step come from."""

  NONE = 'none'
  LOG_NORMAL = 'log_normal'
  TRACE = 'trace'


class LateWork(enum.StrEnum):
  """What a server does with a client that is not done at the deadline."""

  LEFT_OUT = 'left_out'
  PARTIAL = 'partial'


@dataclasses.dataclass(slots=True, kw_only=True)
class SystemsConfig:
  """Clients as systems, on a virtual clock; by default all send, at once."""

  # Probability that what a drawn client does is lost.
  dropout: float = bounded(0.0, low=0.0, below=1.0)
  # Clients drawn for a round, of which the first cohort_size that finish are
  # taken; 0: cohort_size.
  num_drawn: int = bounded(0, low=0)
  # Virtual seconds that a round waits for its clients; 0: for ever.
  deadline: float = bounded(0.0, low=0.0)
  # Partial work is the steps that fit; federated.weighting=steps weighs it so.
  late_work: LateWork = LateWork.LEFT_OUT
  # none: there is no clock.
  speeds: Speeds = Speeds.NONE
  # Of log_normal: the median client, and the standard deviation of the
  # logarithm; 0: all are equal.
  median_seconds_per_step: float = bounded(1.0, above=0.0)
  speed_spread: float = bounded(0.5, low=0.0)
  # Of trace: a CSV file with a header and the columns client, seconds_per_step
  # and, to be there for a part of the time, available_from, available_until.
  trace: str = ''
