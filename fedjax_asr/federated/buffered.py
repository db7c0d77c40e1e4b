"""Clients that work while the server steps (FedBuff, Nguyen et al. 2022).

A server has `concurrency` clients at work. One that finishes is replaced at
once, by a client that starts from the server's values of that moment; the
server steps when `cohort_size` updates have come.
"""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fedjax_asr import config
from fedjax_asr.federated import cohort, systems


class _Flight(NamedTuple):
  """A client at work; sorts by when that ends, then by when it was drawn.

  num_steps: that it will send; 0: nothing.
  version: steps of the server behind the values that it started from.
  """

  end: float
  order: int
  client: int
  num_steps: int
  version: int


def rounds(
  found: systems.Population, federated: config.FederatedConfig, seed: int
) -> Iterator[systems.Round]:
  """Steps of the server, without end.

  All that ends at one moment is received before anybody starts, so that equal
  clients, as many as the buffer holds, are FedAvg's. Nobody starts while what
  it sent is in the buffer; where all are at work or there, less than
  `concurrency` are at work. What is staler than the cap when it comes is lost.
  """
  cap = federated.fedbuff.max_staleness
  server = _Server(found, federated, seed)
  start, num_lost = 0.0, 0
  buffer: list[_Flight] = []
  version = 0
  while True:
    server.begin(version)
    for flight in server.next_ends():
      if not flight.num_steps or version - flight.version > cap:
        server.is_idle[flight.client] = True
        num_lost += 1
        continue
      buffer.append(flight)
      if len(buffer) == federated.cohort_size:
        yield _round(buffer, version, start, server.time, num_lost)
        server.is_idle[[each.client for each in buffer]] = True
        start, num_lost, buffer = server.time, 0, []
        version += 1


def _round(
  buffer: list[_Flight], version: int, start: float, end: float, num_lost: int
) -> systems.Round:
  return systems.Round(
    working=cohort.Working(
      client_ids=np.array([flight.client for flight in buffer]),
      num_steps=np.array([flight.num_steps for flight in buffer]),
      staleness=np.array([version - flight.version for flight in buffer]),
    ),
    start=start,
    end=end,
    num_lost=num_lost,
  )


class _Server:
  """Who is at work at the moment `time`.

  is_idle: of each client, whether it may be drawn.
  """

  def __init__(
    self,
    found: systems.Population,
    federated: config.FederatedConfig,
    seed: int,
  ):
    self.time = 0.0
    self.is_idle = np.ones(len(found.num_steps), bool)
    self._found = found
    self._concurrency = federated.fedbuff.concurrency or federated.cohort_size
    self._seed = seed
    self._flying: list[_Flight] = []
    self._num_draws, self._num_drawn = 0, 0

  def begin(self, version: int) -> None:
    """Draws clients for all places that are free, if so many are there."""
    there = self._found.speeds.open_at(self.time)
    there = there[self.is_idle[self._found.speeds.client[there]]]
    count = min(self._concurrency - len(self._flying), len(there))
    if not count:
      return
    drawn = cohort.sample(len(there), count, self._seed, self._num_draws)
    is_dropped = self._found.dropped(count, self._seed, self._num_draws)
    works = self._found.works(there[drawn], self.time, is_dropped)
    self._num_draws += 1
    clients = self._found.speeds.client[there[drawn]]
    self.is_idle[clients] = False
    for client, seconds, num_steps in zip(clients, *works, strict=True):
      flight = _Flight(
        end=self.time + float(seconds),
        order=self._num_drawn,
        client=int(client),
        num_steps=int(num_steps),
        version=version,
      )
      heapq.heappush(self._flying, flight)
      self._num_drawn += 1

  def next_ends(self) -> list[_Flight]:
    """Goes on to the next moment at which a client ends or comes.

    Gives the clients that end then, in the order in which they were drawn.

    Raises:
      config.ConfigError: there is none.
    """
    moment = np.inf
    if len(self._flying) < self._concurrency:
      moment = self._found.speeds.next_opening(self.time)
    if self._flying:
      moment = min(moment, self._flying[0].end)
    if np.isinf(moment):
      raise self._found.nobody_after(self.time)
    self.time = moment
    ended = []
    while self._flying and self._flying[0].end <= moment:
      ended.append(heapq.heappop(self._flying))
    return ended
