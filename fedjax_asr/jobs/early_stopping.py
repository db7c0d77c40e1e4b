"""When evaluations say that training has come to its end."""

import pathlib
from collections.abc import Iterable

from fedjax_asr import config, run_log
from fedjax_asr.corpora import datasets


class Patience:
  """Counts evaluations without a lower WER."""

  def __init__(self, patience: int, wers: Iterable[float | None]):
    """`patience` is 0 for ever. `wers` of the rounds behind; None: of none."""
    self._patience = patience
    self._lowest, self._num_since = float('inf'), 0
    for wer in wers:
      self.add(wer)

  def add(self, wer: float | None) -> None:
    """One more round's; None: it was not evaluated."""
    if wer is None:
      return
    if wer < self._lowest:
      self._lowest, self._num_since = wer, 0
    else:
      self._num_since += 1

  @property
  def is_over(self) -> bool:
    """Whether training stops."""
    return 0 < self._patience <= self._num_since

  def told(self) -> str:
    """Why, in words."""
    return (
      f'config.evaluation.patience={self._patience}: no WER under '
      f'{self._lowest:.1%} in so many evaluations'
    )


def of_run(path: pathlib.Path, patience: int, last_round: int) -> Patience:
  """After a round of a run with these metrics."""
  lines = run_log.read_metrics(path) if patience and path.exists() else []
  return Patience(
    patience,
    [line.get('eval/wer') for line in lines if line['round'] <= last_round],
  )


def check(cfg: config.EvaluationConfig, data: datasets.Datasets) -> None:
  """Raises `ConfigError` where there is nothing to be patient with."""
  if cfg.patience and not (data.heldout_speakers or data.heldout_utterances):
    raise config.ConfigError(
      f'config.evaluation.patience={cfg.patience}; want 0: nothing is held out.'
    )
