"""When each client is there, and how fast it then is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fedjax_asr import config, streams
from fedjax_asr.federated import partition, speed_trace


class Speeds(NamedTuple):
  """Windows of virtual seconds in which clients are there.

  Those of one client do not overlap; in the order of clients.
  """

  client: Int[np.ndarray, ' windows']
  seconds_per_step: Float[np.ndarray, ' windows']
  since: Float[np.ndarray, ' windows']
  until: Float[np.ndarray, ' windows']

  def open_at(self, time: float) -> Int[np.ndarray, ' open']:
    """Windows that are open; of each client one at most."""
    return np.flatnonzero((self.since <= time) & (time < self.until))

  def next_opening(self, time: float) -> float:
    """The first moment after `time` at which a client comes; inf: none does."""
    return float(self.since[self.since > time].min(initial=np.inf))


def of_population(
  clients: Sequence[partition.Client],
  systems: config.SystemsConfig,
  seed: int,
) -> Speeds:
  """A function of the seed and the client, or what a trace says.

  Without a clock, steps take no time.

  Raises:
    config.ConfigError: the trace cannot be used for these clients.
  """
  match systems.speeds:
    case config.Speeds.NONE:
      return _always(np.zeros(len(clients)))
    case config.Speeds.LOG_NORMAL:
      rng = streams.rng(seed, streams.Stream.SPEEDS)
      draws = rng.standard_normal(len(clients))
      factors = np.exp(systems.speed_spread * draws)
      return _always(systems.median_seconds_per_step * factors)
    case config.Speeds.TRACE:
      names = [client.name for client in clients]
      return Speeds(*_columns(speed_trace.read(systems.trace, names)))


def _always(seconds_per_step: Float[np.ndarray, ' clients']) -> Speeds:
  count = len(seconds_per_step)
  return Speeds(
    client=np.arange(count),
    seconds_per_step=seconds_per_step,
    since=np.zeros(count),
    until=np.full(count, np.inf),
  )


def _columns(windows: Sequence[speed_trace.Window]):
  ordered = sorted(windows, key=lambda each: (each.client, each.since))
  return (
    np.array([window.client for window in ordered]),
    np.array([window.seconds_per_step for window in ordered]),
    np.array([window.since for window in ordered]),
    np.array([window.until for window in ordered]),
  )
