"""Which checkpoints of a run are kept."""

from collections.abc import Sequence
from typing import Any

from orbax.checkpoint import checkpoint_managers

from fedjax_asr import config


class Retention(checkpoint_managers.PreservationPolicy):
  """Says which rounds may go, and lets Orbax delete none by itself.

  It would delete them before anybody has read what is to replace them.
  """

  def __init__(self, cfg: config.CheckpointConfig):
    self.unwanted: list[int] = []
    self._every = cfg.every_rounds
    policies: list[Any] = [checkpoint_managers.LatestN(cfg.keep_last)]
    if cfg.keep_best:
      best = checkpoint_managers.BestN(
        get_metric_fn=wer,
        reverse=True,
        n=cfg.keep_best,
        keep_checkpoints_without_metrics=False,
      )
      policies.append(best)
    if cfg.keep_every:
      policies.append(checkpoint_managers.EveryNSteps(cfg.keep_every))
    self._policy = checkpoint_managers.AnyPreservationPolicy(policies)

  def should_preserve(
    self, checkpoints: Sequence[Any], *, context: Any
  ) -> Sequence[bool]:
    # What an interruption saved takes no room from rounds that were due.
    counted = [
      info
      for info in checkpoints
      if info.step % self._every == 0 or info is checkpoints[-1]
    ]
    kept = self._policy.should_preserve(counted, context=context)
    wanted = {
      info.step for info, keep in zip(counted, kept, strict=True) if keep
    }
    self.unwanted = [
      info.step for info in checkpoints if info.step not in wanted
    ]
    return [True] * len(checkpoints)


def wer(metrics: Any) -> float:
  """What ranks a round, of the metrics stored beside it."""
  return metrics['wer']
