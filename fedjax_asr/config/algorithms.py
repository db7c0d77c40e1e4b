"""Federated algorithms, and what each of them has to set."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class AlgorithmName(enum.StrEnum):
  """A module of `fedjax_asr.federated.algorithms`."""

  FEDAVG = 'fedavg'
  FEDSGD = 'fedsgd'
  DITTO = 'ditto'
  FEDBN = 'fedbn'
  FEDREP = 'fedrep'


@dataclasses.dataclass(slots=True, kw_only=True)
class DittoConfig:
  """The personal model of each client beside the one that is averaged."""

  # Weight of the squared distance to the server's model (lambda).
  regularization: float = bounded(0.1, low=0.0)
  learning_rate: float = bounded(0.1, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class FedRepConfig:
  """Which of a client's steps train its own output layer."""

  # The first so many; the others train what is shared.
  head_steps: int = bounded(1, low=1)
