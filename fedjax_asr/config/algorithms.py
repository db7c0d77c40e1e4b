"""Federated algorithms, and what each of them has to set."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class AlgorithmName(enum.StrEnum):
  """A module of `fedjax_asr.federated.algorithms`."""

  FEDAVG = 'fedavg'
  FEDSGD = 'fedsgd'
  FEDBUFF = 'fedbuff'


@dataclasses.dataclass(slots=True, kw_only=True)
class FedBuffConfig:
  """Of fedbuff, whose buffer holds federated.cohort_size updates."""

  # Clients at work at any moment; 0: cohort_size.
  concurrency: int = bounded(0, low=0)
  # An update s rounds old weighs (1 + s) ** -exponent of what it would.
  staleness_exponent: float = bounded(0.5, low=0.0)
  # An older one is left out; the server remembers so many of its models.
  max_staleness: int = bounded(4, low=1)
