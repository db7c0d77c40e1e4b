"""Federated algorithms, and what each of them has to set."""

import enum


class AlgorithmName(enum.StrEnum):
  """A module of `fedjax_asr.federated.algorithms`."""

  FEDAVG = 'fedavg'
  FEDSGD = 'fedsgd'
