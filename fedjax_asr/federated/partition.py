"""Which utterances each client holds."""

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fedjax_asr import config, streams
from fedjax_asr.speech import spelling


class Client(NamedTuple):
  """A member of the population; `utterances` index the training set."""

  name: str
  utterances: np.ndarray


def partition(
  speakers: Sequence[str],
  texts: Sequence[str],
  federated: config.FederatedConfig,
  seed: int,
  holders: Sequence[str] | None = None,
) -> list[Client]:
  """Divides utterances among clients: each to exactly one, none left out.

  Args:
    speakers: the speaker of each utterance.
    texts: its transcript.
    federated: the kind of partition and its parameters.
    seed: decides the divisions that are random.
    holders: who holds each utterance, which `Partition.SPEAKER` goes by; its
      speaker where that is not given.

  Raises:
    config.ConfigError: fewer utterances than clients, or fewer clients than
      the cohort needs.
  """
  rng = streams.rng(seed, streams.Stream.PARTITION)
  match federated.partition:
    case config.Partition.SPEAKER:
      clients = _by_name(speakers if holders is None else holders)
    case config.Partition.DIRICHLET:
      kinds = np.unique(speakers, return_inverse=True)[1]
      clients = _dirichlet(kinds, federated, rng)
    case config.Partition.TRANSCRIPT:
      clients = _dirichlet(_first_words(texts), federated, rng)
    case config.Partition.IID:
      sizes = np.ones(federated.num_clients)
      clients = _by_size(len(speakers), sizes, rng)
    case config.Partition.SIZE:
      ranks = np.arange(1, federated.num_clients + 1)
      sizes = ranks**-federated.size_exponent
      clients = _by_size(len(speakers), sizes, rng)
  if federated.cohort_size > len(clients):
    raise config.ConfigError(
      f'config.federated.cohort_size={federated.cohort_size}; want at most '
      f'the population of {len(clients)} clients.'
    )
  return clients


def settled(
  federated: config.FederatedConfig, holders: Sequence[str]
) -> config.FederatedConfig:
  """With a cohort, rounds and a warm-up where the config leaves them open.

  `holders`: who holds each utterance of the training set. Where clients are
  not those, rounds are counted as if clients were of equal size.
  """
  sizes = [len(holders) / federated.num_clients] * federated.num_clients
  if federated.partition is config.Partition.SPEAKER:
    sizes = list(collections.Counter(holders).values())
  cohort_size = federated.cohort_size or min(_USUAL_COHORT, len(sizes))
  num_rounds = federated.num_rounds
  if not num_rounds:
    per_round = cohort_size * _mean_work(sizes, federated.client)
    num_rounds = math.ceil(federated.num_utterances / per_round)
  warmup_rounds = federated.server.warmup_rounds
  if warmup_rounds < 0:
    warmup_rounds = min(_MOST_WARMUP_ROUNDS, num_rounds // 10)
  return dataclasses.replace(
    federated,
    cohort_size=cohort_size,
    num_rounds=num_rounds,
    server=dataclasses.replace(federated.server, warmup_rounds=warmup_rounds),
  )


def num_clients(
  federated: config.FederatedConfig, holders: Sequence[str]
) -> int:
  """Those that `partition` will make of utterances of these holders."""
  if federated.partition is config.Partition.SPEAKER:
    return len(set(holders))
  return federated.num_clients


def _mean_work(sizes: Sequence[float], client: config.ClientConfig) -> float:
  """Utterances that a client trains on in a round."""
  if client.local_steps:
    return client.local_steps * client.batch_size
  most = client.max_utterances or math.inf
  used = sum(min(size, most) for size in sizes)
  return client.local_epochs * used / len(sizes)


_USUAL_COHORT = 8
_MOST_WARMUP_ROUNDS = 10


def _by_name(holders: Sequence[str]) -> list[Client]:
  names, holder = np.unique(holders, return_inverse=True)
  return [
    Client(str(name), own)
    for name, own in zip(names, _members(holder, len(names)), strict=True)
  ]


def _members(kinds: np.ndarray, count: int) -> list[np.ndarray]:
  """Where each of so many kinds is, ascending."""
  ends = np.cumsum(np.bincount(kinds, minlength=count))
  return np.split(np.argsort(kinds, kind='stable'), ends)[:count]


def _first_words(texts: Sequence[str]) -> np.ndarray:
  """What an utterance is about, as far as its first word says it.

  Its first character in a script without spaces, where most transcripts would
  be kinds of their own.
  """
  words = [spelling.first_word(text) for text in texts]
  return np.unique(words, return_inverse=True)[1]


def _dirichlet(
  kinds: np.ndarray,
  federated: config.FederatedConfig,
  rng: np.random.Generator,
) -> list[Client]:
  """Clients of equal size whose mixtures of kinds are Dirichlet draws.

  The construction of Hsu et al. 2019 with speakers, or first words, in place of
  classes: a client draws its mixture, then its utterances one by one from the
  kinds that still have some.
  """
  _require_enough(len(kinds), federated.num_clients)
  members = _members(kinds, int(kinds.max()) + 1)
  pools = [rng.permutation(own) for own in members]
  left = np.array([len(pool) for pool in pools])
  concentration = federated.dirichlet_alpha * len(pools) * left / len(kinds)
  clients = []
  for index, size in enumerate(_equal_sizes(len(kinds), federated)):
    mixture = rng.dirichlet(concentration)
    chosen, stays, bounds = [], False, np.ones(1)
    for _ in range(size):
      if not stays:
        mixture = _over_what_is_left(mixture, left, rng)
        bounds = np.cumsum(mixture)
        bounds /= bounds[-1]
        # To be divided by a sum of 1 changes no bit.
        stays = mixture.sum() == 1.0
      # What `rng.choice` draws from the mixture, without making bounds anew.
      source = bounds.searchsorted(rng.random(), side='right')
      left[source] -= 1
      chosen.append(pools[source][left[source]])
      stays = stays and left[source] > 0
    name = f'{federated.partition}_{index}'
    clients.append(Client(name, np.sort(chosen)))
  return clients


def _over_what_is_left(
  mixture: np.ndarray, left: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """The mixture without the kinds that have run out.

  Where none of its kinds has any left, one kind that has: the limit of a small
  concentration, at which alone it happens.
  """
  weights = np.where(left > 0, mixture, 0.0)
  if not weights.sum() > 0:
    weights = np.zeros(len(left))
    weights[rng.choice(len(left), p=left / left.sum())] = 1.0
  return weights / weights.sum()


def _equal_sizes(total: int, federated: config.FederatedConfig) -> list[int]:
  parts = np.array_split(np.arange(total), federated.num_clients)
  return [len(part) for part in parts]


def _by_size(
  total: int, sizes: np.ndarray, rng: np.random.Generator
) -> list[Client]:
  """Random utterances in proportion to `sizes`, at least one each."""
  _require_enough(total, len(sizes))
  spare = total - len(sizes)
  bounds = np.round(np.cumsum(sizes) / np.sum(sizes) * spare).astype(int)
  counts = 1 + np.diff(bounds, prepend=0)
  order = rng.permutation(total)
  parts = np.split(order, np.cumsum(counts)[:-1])
  return [
    Client(f'client_{index}', np.sort(part)) for index, part in enumerate(parts)
  ]


def _require_enough(num_utterances: int, num_clients: int) -> None:
  if num_clients > num_utterances:
    raise config.ConfigError(
      f'config.federated.num_clients={num_clients}; want at most the '
      f'{num_utterances} training utterances.'
    )
