"""What the rounds of a run would send, in bytes."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from fedjax_asr import config
from fedjax_asr.federated import algorithms, channels, server, systems, wire
from fedjax_asr.models import model


def client_sizes(
  cfg: config.Config,
  acoustic: model.Model,
  state: server.ServerState,
  num_clients: int,
) -> wire.Sizes:
  """Of one client in one round; only shapes are computed.

  `num_clients`: in the population.
  """
  federated = cfg.federated
  sent = jax.eval_shape(lambda state: server.broadcast(state, federated), state)
  return wire.sizes(
    algorithms.make(acoustic, federated, cfg.augment, num_clients),
    channels.make(federated),
    federated.compression,
    sent,
    state.channel_state,
  )


class Traffic:
  """Bytes of rounds, and in all since the first round."""

  def __init__(
    self, sizes: wire.Sizes, lines: Iterable[Mapping[str, Any]] = ()
  ):
    """`lines`: of `metrics.jsonl`, of the rounds behind the run."""
    self._sizes = sizes
    self._up = self._down = 0
    for line in lines:
      # Rounds of a version that did not count are not in the total.
      self._up += line.get('communication/bytes_up') or 0
      self._down += line.get('communication/bytes_down') or 0

  def of_round(
    self, num_senders: int, timing: systems.Round | None
  ) -> dict[str, int]:
    """Metrics of the next round.

    Whose work was lost was sent the model all the same; of what such a client
    may have sent too late, nothing is counted.
    """
    num_lost = timing.num_lost if timing else 0
    up = num_senders * self._sizes.up
    down = (num_senders + num_lost) * self._sizes.down
    self._up += up
    self._down += down
    return {
      'communication/bytes_up': up,
      'communication/bytes_down': down,
      'communication/total_bytes_up': self._up,
      'communication/total_bytes_down': self._down,
    }
