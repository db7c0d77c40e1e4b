"""What a run that may go back needs."""

from fedjax_asr import config
from fedjax_asr.validation import requirement


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` unless there is something to go back to."""
  goes_back = bool(cfg.recovery.max_rollbacks)
  for name in ('factor', 'loss_factor'):
    requirement.read(
      cfg, f'recovery.{name}', goes_back, 'recovery.max_rollbacks'
    )
  requirement.require(
    cfg,
    'recovery.loss_factor',
    cfg.recovery.loss_factor == 0 or cfg.recovery.loss_factor > 1,
    '0, or more than 1',
  )
  requirement.require(
    cfg,
    'checkpoint.keep_last',
    not goes_back or cfg.checkpoint.keep_last > 1,
    '2 or more with recovery.max_rollbacks: the values that the last round was '
    'saved with may be what diverged',
  )
