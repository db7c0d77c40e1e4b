"""Who works in each round of a run, and when, on the virtual clock.

A function of the config, the population and the seed: nothing of training
enters, so that a run that goes on has the rounds it would have had. A round has
the same clients and times however many follow it.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.federated import cohort, partition, speeds

_DROPOUT_STREAM = 0x6472
# Steps that end at a deadline, but for the rounding of a float, are in time.
_SLACK = 1 + 1e-9


class Round(NamedTuple):
  """One step of the server.

  start, end: virtual seconds since the run began, from the end of the round
    before it to the server's step.
  num_lost: clients whose work did not come, or too late.
  """

  working: cohort.Working
  start: float
  end: float
  num_lost: int


class Works(NamedTuple):
  """What becomes of the clients that begin at one moment.

  seconds: until that is known.
  num_steps: that each then sends; 0: nothing.
  """

  seconds: Float[np.ndarray, ' clients']
  num_steps: Int[np.ndarray, ' clients']


class Population(NamedTuple):
  """Clients as systems.

  num_steps: of the local work of each.
  """

  speeds: speeds.Speeds
  num_steps: Int[np.ndarray, ' clients']
  systems: config.SystemsConfig

  def works(
    self,
    windows: Int[np.ndarray, ' clients'],
    time: float,
    is_dropped: Bool[np.ndarray, ' clients'],
  ) -> Works:
    """Of clients in these windows that begin at `time`.

    A client whose window closes first is gone. That one has dropped out shows
    when its work is due.
    """
    pace = self.speeds.seconds_per_step[windows]
    needed = self.num_steps[self.speeds.client[windows]]
    left = self.speeds.until[windows] - time
    limit = self.systems.deadline or np.inf
    seconds = needed * pace
    is_done = seconds <= np.minimum(left, limit) * _SLACK
    num_steps = np.where(is_done, needed, 0)
    if self.systems.late_work is config.LateWork.PARTIAL:
      fitting = np.minimum(limit * _SLACK // pace, needed).astype(int)
      num_steps = np.where(~is_done & (limit <= left), fitting, num_steps)
    return Works(
      seconds=np.minimum(seconds, np.minimum(left, limit)),
      num_steps=np.where(is_dropped, 0, num_steps),
    )

  def dropped(
    self, count: int, seed: int, draw_index: int
  ) -> Bool[np.ndarray, ' clients']:
    """Which of the clients of a draw drop out."""
    rng = np.random.default_rng([seed, draw_index, _DROPOUT_STREAM])
    return rng.random(count) < self.systems.dropout

  def somebody_after(self, time: float) -> float:
    """The first moment from `time` on at which a client is there.

    Raises:
      config.ConfigError: there is none.
    """
    if len(self.speeds.open_at(time)):
      return time
    opening = self.speeds.next_opening(time)
    if np.isinf(opening):
      raise config.ConfigError(
        f'config.federated.systems.trace={self.systems.trace!r}: no client is '
        f'there after {time:g} virtual seconds; want windows that hold all '
        'rounds.'
      )
    return opening


def population(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  seed: int,
) -> Population:
  """The clients of a partition as systems.

  Raises:
    config.ConfigError: of the trace, or nobody can do anything in time.
  """
  num_steps = [
    cohort.work(len(each.utterances), federated.client) for each in clients
  ]
  found = Population(
    speeds=speeds.of_population(clients, federated.systems, seed),
    num_steps=np.array(num_steps),
    systems=federated.systems,
  )
  _check_drawn(federated, len(clients))
  _check_deadline(found)
  return found


def _check_drawn(federated: config.FederatedConfig, num_clients: int) -> None:
  num_drawn = federated.systems.num_drawn
  if num_drawn > num_clients:
    raise config.ConfigError(
      f'config.federated.systems.num_drawn={num_drawn}; want at most the '
      f'population of {num_clients} clients.'
    )


def _check_deadline(found: Population) -> None:
  systems = found.systems
  if not systems.deadline:
    return
  pace = found.speeds.seconds_per_step
  seconds, what = pace, 'one step'
  if systems.late_work is config.LateWork.LEFT_OUT:
    seconds = pace * found.num_steps[found.speeds.client]
    what = 'all its steps'
  if seconds.min() > systems.deadline * _SLACK:
    raise config.ConfigError(
      f'config.federated.systems.deadline={systems.deadline:g}; want at least '
      f'{seconds.min():g}, in which the fastest client does {what}.'
    )


def rounds(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  seed: int,
) -> list[Round] | None:
  """Those of a run; None where nothing but a sample decides.

  Raises:
    config.ConfigError: the population cannot fill them.
  """
  if not is_needed(federated):
    return None
  simulated = _simulated(clients, federated, seed)
  return list(itertools.islice(simulated, federated.num_rounds))


def members(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  seed: int,
  round_index: int,
) -> Int[np.ndarray, ' clients']:
  """Who sends in a round, which may be one after the last of a run.

  Raises:
    config.ConfigError: the population cannot fill it.
  """
  if not is_needed(federated):
    return cohort.sample(len(clients), federated.cohort_size, seed, round_index)
  simulated = _simulated(clients, federated, seed)
  return next(itertools.islice(simulated, round_index, None)).working.client_ids


def _simulated(clients, federated, seed) -> Iterator[Round]:
  found = population(clients, federated, seed)
  return synchronous(found, federated.cohort_size, seed)


def is_needed(federated: config.FederatedConfig) -> bool:
  """Whether clients are anything but equal, reliable and instantaneous."""
  systems = federated.systems
  return bool(systems.dropout) or systems.speeds is not config.Speeds.NONE


def synchronous(
  found: Population, cohort_size: int, seed: int
) -> Iterator[Round]:
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
    yield Round(
      working=cohort.Working(
        client_ids=found.speeds.client[windows[taken]],
        num_steps=works.num_steps[taken],
        staleness=np.zeros(len(taken), int),
      ),
      start=time,
      end=end,
      num_lost=wanted - len(senders),
    )
    time = end
