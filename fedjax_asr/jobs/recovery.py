"""How a run that diverged goes on."""

import jax.numpy as jnp

from fedjax_asr import (
  checkpoint,
  config,
  run_directory,
  run_history,
  run_rollbacks,
)
from fedjax_asr.federated import optimizers
from fedjax_asr.jobs import divergence


class Recovery:
  """The rollbacks behind a run, and the next one.

  A rollback is what a kill is: later checkpoints go, then the record is
  written, and the run goes on from its last checkpoint. Killed before the
  record it trains the same rounds again and comes to the same rollback; after
  it, it goes on as it would have. Cohorts and randomness stay those of the
  round, so that nothing but the step is another.
  """

  def __init__(
    self,
    cfg: config.RecoveryConfig,
    directory: run_directory.RunDirectory,
    round_index: int,
  ):
    """As of a round; the directory is only read."""
    self._cfg = cfg
    self._directory = directory
    self._found = run_rollbacks.read(directory)
    self._behind = run_rollbacks.as_of(self._found, round_index)

  @property
  def is_off(self) -> bool:
    """Whether no rollback is behind the run, and none can come."""
    return not self._cfg.max_rollbacks and not self._behind

  @property
  def scale(self) -> optimizers.Scale:
    """What the compiled round is given: always, or never in a run."""
    return None if self.is_off else jnp.float32(self._scale)

  def begin(self) -> None:
    """The record, too, is of the rounds behind the run from here on."""
    if self._found != self._behind:
      run_rollbacks.write(self._directory, self._behind)

  def roll_back(
    self,
    error: divergence.DivergedError,
    checkpoints: checkpoint.Checkpoints,
  ) -> str:
    """Makes a good round the run's last; says so.

    Raises:
      DivergedError: the run went back as often as it may.
    """
    limit = self._cfg.max_rollbacks
    if len(self._behind) >= limit:
      raise divergence.given_up(error, self._behind)
    back = _good_round(checkpoints, error.round)
    checkpoints.drop_after(back)
    scale = self._scale * self._cfg.factor
    self._behind.append(
      run_rollbacks.Rollback(
        diverged=error.round, why=error.why, round=back, scale=scale
      )
    )
    run_rollbacks.write(self._directory, self._behind)
    # Rounds that are trained anew are so by the config there is.
    run_history.extend(self._directory, back, False)
    return (
      f'round {error.round} diverged: {error.why}; back to round {back}, with '
      f'a step of {scale:g} times the configured one (rollback '
      f'{len(self._behind)} of {limit})'
    )

  def metrics(self) -> dict[str, float]:
    """What a round's line says of it."""
    if self.is_off:
      return {}
    return {
      'recovery/num_rollbacks': len(self._behind),
      'recovery/scale': self._scale,
    }

  def told(self) -> tuple[str, ...]:
    """A line where the run goes on with a smaller step."""
    if not self._behind:
      return ()
    last = self._behind[-1]
    return (
      f'{len(self._behind)} rollback(s) behind it, the last of round '
      f'{last.diverged} to round {last.round}: a step of {last.scale:g} times '
      'the configured one',
    )

  @property
  def _scale(self) -> float:
    return run_rollbacks.scale(self._behind)


def _good_round(checkpoints: checkpoint.Checkpoints, diverged: int) -> int:
  """The last saved round from which one was trained well; else 0.

  The loss of a round is that of the values it starts from: those before a
  round that diverged may be what did. Rounds that an interruption saved do not
  count, or it would change what the run comes to.
  """
  good = [
    index
    for index in checkpoints.rounds
    if index < diverged - 1 and checkpoints.is_due(index)
  ]
  return max(good, default=0)
