"""Clients as systems: what becomes of those that begin at a moment.

Everything is a function of the config, the population and the seed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fedjax_asr import config, streams
from fedjax_asr.federated import cohort, partition, speeds

# Steps that end at a deadline, but for the rounding of a float, are in time.
_SLACK = 1 + 1e-9


class Round(NamedTuple):
  """One step of the server.

  start, end: virtual seconds since the run began, from the end of the round
    before it to the server's step.
  num_lost: clients whose work did not come, or too late.
  drawn: all that began in it, some of which may not send; None where clients
    begin and end in different rounds.
  """

  working: cohort.Working
  start: float
  end: float
  num_lost: int
  drawn: Int[np.ndarray, ' drawn'] | None = None


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
    rng = streams.rng(seed, streams.Stream.DROPOUT, draw_index)
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
      raise self.nobody_after(time)
    return opening

  def nobody_after(self, time: float) -> config.ConfigError:
    """What to raise where no client is there from a moment on."""
    return config.ConfigError(
      f'config.federated.systems.trace={self.systems.trace!r}: no client is '
      f'there after {time:g} virtual seconds; want windows that hold all '
      'rounds.'
    )


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
  for field, count in (
    ('systems.num_drawn', federated.systems.num_drawn),
    ('fedbuff.concurrency', federated.fedbuff.concurrency),
  ):
    if count > num_clients:
      raise config.ConfigError(
        f'config.federated.{field}={count}; want at most the population of '
        f'{num_clients} clients.'
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
      f'{float(seconds.min())}, in which the fastest client does {what}.'
    )
