"""Who works in each round of a run, and when, on the virtual clock.

A function of the config, the population and the seed: nothing of training
enters, so that a run that goes on has the rounds it would have had. A round has
the same clients and times however many follow it.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.federated import (
  buffered,
  cohort,
  partition,
  sampling,
  systems,
)
from fedjax_asr.federated import secret as secret_lib

# More than any client takes.
_ALL_STEPS = np.iinfo(np.int32).max


def rounds(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  seed: int,
  secret: secret_lib.Secret | None = None,
) -> list[systems.Round] | None:
  """Those of a run; None where nothing but a sample by the seed decides.

  `secret`: of private sampling; None: what `seed` makes.

  Raises:
    config.ConfigError: the population cannot fill them.
  """
  if not is_needed(federated):
    return None
  simulated = _simulated(clients, federated, seed, secret)
  return list(itertools.islice(simulated, federated.num_rounds))


def members(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  seed: int,
  round_index: int,
  secret: secret_lib.Secret | None = None,
) -> Int[np.ndarray, ' clients']:
  """Who sends in a round, which may be one after the last of a run.

  `secret`: as `rounds` has it.

  Raises:
    config.ConfigError: the population cannot fill it.
  """
  if not is_needed(federated):
    return cohort.sample(len(clients), federated.cohort_size, seed, round_index)
  simulated = _simulated(clients, federated, seed, secret)
  return next(itertools.islice(simulated, round_index, None)).working.client_ids


def _simulated(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  seed: int,
  secret: secret_lib.Secret | None,
) -> Iterator[systems.Round]:
  found = systems.population(clients, federated, seed)
  if sampling.is_needed(federated):
    secret = secret_lib.of_seed(seed) if secret is None else secret
    return sampled(found, federated, seed, secret)
  if federated.algorithm is config.AlgorithmName.FEDBUFF:
    return buffered.rounds(found, federated, seed)
  return synchronous(found, federated.cohort_size, seed)


def is_needed(federated: config.FederatedConfig) -> bool:
  """Whether clients are anything but equal, reliable, instantaneous and drawn
  by the seed."""
  has_clock = federated.systems.speeds is not config.Speeds.NONE
  is_simulated = has_clock or bool(federated.systems.dropout)
  return is_simulated or sampling.is_needed(federated)


def sampled(
  found: systems.Population,
  federated: config.FederatedConfig,
  seed: int,
  secret: secret_lib.Secret,
) -> Iterator[systems.Round]:
  """Rounds of privately sampled clients, without end.

  There is no clock: nobody is waited for. Those that drop out send nothing.
  """
  num_clients = len(found.num_steps)
  for index in itertools.count():
    drawn = sampling.drawn(federated, num_clients, secret, index)
    is_dropped = found.dropped(len(drawn), seed, index)
    sending = drawn[~is_dropped]
    yield systems.Round(
      working=cohort.Working(
        client_ids=sending,
        num_steps=np.full(len(sending), _ALL_STEPS),
        staleness=np.zeros(len(sending), int),
      ),
      start=0.0,
      end=0.0,
      num_lost=int(is_dropped.sum()),
      drawn=drawn,
    )


def synchronous(
  found: systems.Population, cohort_size: int, seed: int
) -> Iterator[systems.Round]:
  """Rounds that wait for their clients, without end.

  A round draws from those who are there, and takes the first `cohort_size` that
  finish. It ends with the last of these, or, where they are fewer, once it is
  known of everybody that no more will come. Where nobody is there it begins
  when somebody is.
  """
  time = 0.0
  for index in itertools.count():
    begun = found.somebody_after(time)
    there = found.speeds.open_at(begun)
    wanted = min(found.systems.num_drawn or cohort_size, len(there))
    windows = there[cohort.sample(len(there), wanted, seed, index)]
    is_dropped = found.dropped(wanted, seed, index)
    works = found.works(windows, begun, is_dropped)
    (senders,) = np.nonzero(works.num_steps)
    order = np.argsort(works.seconds[senders], kind='stable')
    first = senders[order[:cohort_size]]
    waited = (
      works.seconds[first] if len(first) == cohort_size else works.seconds
    )
    end = begun + float(waited.max())
    # As they were drawn.
    taken = np.sort(first)
    yield systems.Round(
      working=cohort.Working(
        client_ids=found.speeds.client[windows[taken]],
        num_steps=works.num_steps[taken],
        staleness=np.zeros(len(taken), int),
      ),
      start=time,
      end=end,
      num_lost=wanted - len(senders),
      drawn=found.speeds.client[windows],
    )
    time = end
