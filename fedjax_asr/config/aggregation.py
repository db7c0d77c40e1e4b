"""How a server makes one update of its clients'."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Aggregator(enum.StrEnum):
  """All but the mean hold out against some clients that send anything."""

  MEAN = 'mean'
  MEDIAN = 'median'
  TRIMMED_MEAN = 'trimmed_mean'
  KRUM = 'krum'


class OverBound(enum.StrEnum):
  """What becomes of an update that is longer than the bound."""

  SCALED = 'scaled'
  LEFT_OUT = 'left_out'


@dataclasses.dataclass(slots=True, kw_only=True)
class AggregationConfig:
  """Robust ones keep all updates of a round: cohort times model in memory."""

  method: Aggregator = Aggregator.MEAN
  # Of trimmed_mean: of the clients, those left out at either end.
  trimmed_fraction: float = bounded(0.2, above=0.0, below=0.5)
  # Of krum: clients that may send anything, and how many of the updates that
  # lie closest to others are averaged; 1: Krum, more: multi-Krum.
  num_byzantine: int = bounded(1, low=0)
  num_selected: int = bounded(1, low=1)
  # Global norm that the server allows an update, of any method; 0: any.
  norm_bound: float = bounded(0.0, low=0.0)
  over_bound: OverBound = OverBound.SCALED
