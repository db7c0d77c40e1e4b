"""Federated algorithms, and what each of them has to set."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class AlgorithmName(enum.StrEnum):
  """A module of `fedjax_asr.federated.algorithms`."""

  FEDAVG = 'fedavg'
  FEDSGD = 'fedsgd'
  FEDPROX = 'fedprox'
  SCAFFOLD = 'scaffold'
  FEDDYN = 'feddyn'
  FEDNOVA = 'fednova'
  MIMELITE = 'mimelite'
  QFFL = 'qffl'
  AGNOSTIC = 'agnostic'
  DITTO = 'ditto'
  FEDBN = 'fedbn'
  FEDREP = 'fedrep'
  LOSS_WEIGHTED = 'loss_weighted'
  WER_WEIGHTED = 'wer_weighted'
  FEDBUFF = 'fedbuff'


class ControlVariate(enum.StrEnum):
  """What a client's is made of: options I and II of SCAFFOLD."""

  SERVER_GRADIENT = 'server_gradient'
  STEPS = 'steps'


@dataclasses.dataclass(slots=True, kw_only=True)
class FedProxConfig:
  """Of algorithm=fedprox."""

  # How strongly a client is held at the server's model; 0 is FedAvg.
  mu: float = bounded(0.01, low=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ScaffoldConfig:
  """Of algorithm=scaffold."""

  # The gradient at the server's model (twice the work), or the mean step.
  variate: ControlVariate = ControlVariate.STEPS


@dataclasses.dataclass(slots=True, kw_only=True)
class FedDynConfig:
  """Of algorithm=feddyn."""

  # How strongly a client is held at the server's model.
  alpha: float = bounded(0.1, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class MimeLiteConfig:
  """Of algorithm=mimelite, beside client.momentum, which is its beta1."""

  # Of client.optimizer=adam. The first round divides its steps by epsilon.
  beta2: float = bounded(0.99, low=0.0, below=1.0)
  epsilon: float = bounded(1e-3, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class QfflConfig:
  """Of algorithm=qffl."""

  # Power of a client's loss by which it counts for more; 0 is FedAvg.
  q: float = bounded(1.0, low=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class AgnosticConfig:
  """Of algorithm=agnostic."""

  # Of the clients' weights, which sum to one, for a loss of one nat.
  learning_rate: float = bounded(1e-4, above=0.0)


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


@dataclasses.dataclass(slots=True, kw_only=True)
class LossWeightedConfig:
  """Of algorithm=loss_weighted."""

  # Nats of loss that make a client weigh e times as much; below 0: less.
  temperature: float = 10.0


@dataclasses.dataclass(slots=True, kw_only=True)
class WerWeightedConfig:
  """Of algorithm=wer_weighted."""

  # Word error rate, as a fraction, that makes a client weigh e times as much;
  # below 0: as little. Weights of -1 are exp(1 - WER).
  temperature: float = -1.0


@dataclasses.dataclass(slots=True, kw_only=True)
class FedBuffConfig:
  """Of fedbuff, whose buffer holds federated.cohort_size updates."""

  # Clients at work at any moment; 0: cohort_size.
  concurrency: int = bounded(0, low=0)
  # An update s rounds old weighs (1 + s) ** -exponent of what it would.
  staleness_exponent: float = bounded(0.5, low=0.0)
  # An older one is left out; the server remembers so many of its models.
  max_staleness: int = bounded(4, low=1)
