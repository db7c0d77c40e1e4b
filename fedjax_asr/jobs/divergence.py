"""Training that diverged, or looks as if it will."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from fedjax_asr import config, progress, run_rollbacks
from fedjax_asr.federated import client_report, partition, rounds

_WINDOW = 10
_FACTOR = 10.0
# Clients that a message names.
_NUM_NAMED = 5


class DivergedError(config.UserError):
  """A round's loss, or what it made of the model, is not finite or too large.

  round: that diverged.
  why: in words.
  """

  exit_status = 1

  def __init__(self, round_index: int, why: str, last_saved: int | None):
    saved = 'no round was saved'
    if last_saved is not None:
      saved = f'round {last_saved} is the last that was saved'
    super().__init__(
      f'round {round_index} diverged: {why}; {saved}. The same command would '
      'end here again: lower the learning rates of federated.client or '
      'federated.server (--allow_config_change goes on from that round).'
    )
    self.round, self.why = round_index, why


class LossWatch:
  """Notices a loss that is ten times what it was.

  Compared with the lowest mean over ten rounds in a row that there was (of
  fewer, while there are fewer); said once, until the loss is lower again.
  """

  def __init__(self, losses: Iterable[float | None]):
    """`losses` of the rounds behind a run that goes on."""
    self._last: list[float] = []
    # And of how many rounds that mean is.
    self._lowest, self._num_lowest = np.inf, 0
    self._was_high = False
    for loss in losses:
      self.warning(loss)

  def warning(self, loss: float | None) -> str:
    """Of one more round; '' where there is nothing to say, as of no loss."""
    if loss is None:
      return ''
    was_high, self._was_high = self._was_high, loss > _FACTOR * self._lowest
    times = self._times(_FACTOR)
    self._last = [*self._last[1 - _WINDOW :], loss]
    mean = float(np.mean(self._last))
    if mean < self._lowest:
      self._lowest, self._num_lowest = mean, len(self._last)
    if was_high or not self._was_high:
      return ''
    return (
      f'warning: loss {progress.loss_text(loss)} is {times} so far: training '
      'may be diverging'
    )

  def growth(self, loss: float | None, factor: float) -> str:
    """Of one more round's that is above so many times the lowest mean.

    In words; '' where it is not, as of no loss, or where `factor` is 0.
    """
    if not factor or loss is None or loss <= factor * self._lowest:
      return ''
    return f'the loss {progress.loss_text(loss)} is {self._times(factor)}'

  def at_end(self) -> str:
    """A warning where the last loss is still high; else ''."""
    if not self._was_high:
      return ''
    return (
      f'warning: the loss ended at {progress.loss_text(self._last[-1])}, '
      f'{self._times(_FACTOR)}: training may have diverged'
    )

  def _times(self, factor: float) -> str:
    noun = 'round' if self._num_lowest == 1 else 'rounds'
    return (
      f'over {factor:g} times {progress.loss_text(self._lowest)}, the lowest '
      f'mean of {self._num_lowest} {noun}'
    )


def why(outcome: rounds.Outcome, broken: Sequence[str]) -> str:
  """A round's end that is not finite, in words; '' where it is.

  `broken`: names of the clients that sent what is not finite.
  """
  metrics = outcome.metrics
  if not metrics.is_broken:
    return ''
  what = 'the model' if metrics.num_clients else 'the loss'
  whose = "no client's, but the server's step overflowed"
  if broken:
    whose = f'of {named(broken)}'
  return f'{what} is not finite; losses or gradients that are not: {whose}'


def given_up(
  error: DivergedError, rollbacks: Sequence[run_rollbacks.Rollback]
) -> DivergedError:
  """The same, after the last of the rollbacks that a run may make."""
  if rollbacks:
    error.args = (
      f'{error} {len(rollbacks)} rollback(s), down to {rollbacks[-1].scale:g} '
      f'times the step, did not help (config.recovery.max_rollbacks).',
    )
  return error


def named(clients: Sequence[str]) -> str:
  """The first few, and how many more there are."""
  more = len(clients) - _NUM_NAMED
  shown = ', '.join(clients[:_NUM_NAMED])
  return f'client {shown}' + (f' and {more} more' if more > 0 else '')


def broken(
  clients: Sequence[partition.Client],
  client_ids: Int[np.ndarray, 'devices blocks clients'],
  reports: client_report.ClientReport,
) -> list[str]:
  """Names of those that sent what is not finite, and were left out."""
  ids = np.asarray(client_ids)[np.asarray(reports.is_broken)]
  return [clients[index].name for index in sorted(ids.tolist()) if index >= 0]
