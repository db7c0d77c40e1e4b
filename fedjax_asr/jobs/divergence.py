"""Training that diverged, or looks as if it will."""

from collections.abc import Iterable, Sequence

import numpy as np

from fedjax_asr import config
from fedjax_asr.federated import partition
from fedjax_asr.federated import round as round_lib

_WINDOW = 10
_FACTOR = 10.0


class DivergedError(config.UserError):
  """A round's loss, or what it made of the model, is not finite."""

  exit_status = 1


class LossWatch:
  """Notices a loss that is ten times what it was.

  Compared with the lowest mean over ten rounds in a row that there was (of
  fewer, while there are fewer); said once, until the loss is lower again.
  """

  def __init__(self, losses: Iterable[float | None]):
    """`losses` of the rounds behind a run that goes on."""
    self._last: list[float] = []
    self._lowest = np.inf
    self._was_high = False
    for loss in losses:
      if loss is not None:
        self.warning(loss)

  def warning(self, loss: float) -> str:
    """Of one more round; '' where there is nothing to say."""
    lowest = self._lowest
    self._last = [*self._last[1 - _WINDOW :], loss]
    self._lowest = min(lowest, float(np.mean(self._last)))
    was_high, self._was_high = self._was_high, loss > _FACTOR * lowest
    if was_high or not self._was_high:
      return ''
    return (
      f'warning: loss {loss:.3f} is over {_FACTOR:g} times {lowest:.3f}, the '
      f'lowest mean of {_WINDOW} rounds so far: training may be diverging'
    )


def error(
  round_index: int,
  measured: round_lib.RoundMetrics,
  clients: Sequence[partition.Client],
  last_saved: int | None,
) -> DivergedError:
  """What to raise after a round that is not finite, nothing of it saved."""
  what = 'the model' if np.isfinite(measured.loss) else 'the loss'
  saved = 'no round was saved'
  if last_saved is not None:
    saved = f'round {last_saved} is the last that was saved'
  return DivergedError(
    f'round {round_index} diverged: {what} is not finite; losses or gradients '
    f'that are not: {_whose(measured, clients)}; {saved}. The same command '
    'would end here again: lower the learning rates of federated.client or '
    'federated.server (--allow_config_change goes on from that round).'
  )


def _whose(
  measured: round_lib.RoundMetrics, clients: Sequence[partition.Client]
) -> str:
  named = [
    clients[index].name
    for index in np.asarray(measured.broken_clients).tolist()
    if index >= 0
  ]
  if not named:
    return "no client's, but the server's step overflowed"
  more = int(measured.num_broken) - len(named)
  return f'of client {", ".join(named)}' + (f' and {more} more' if more else '')
