"""Checkpoints of a run: which rounds are saved, kept and restored.

A state is stored flat, one array per leaf under its path in the tree, so that
a checkpoint outlives the classes it was made of and a mismatch can be named.
"""

import contextlib
import errno
import functools
import logging
import math
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from fedjax_asr import config, plain_path

_ITEM = 'state'


class CheckpointError(config.UserError):
  """A checkpoint could not be written, or is not the one that was wanted."""


class Checkpoints:
  """The checkpoints in one directory.

  A round is visible only once it was written whole: whatever kills a process
  in the middle of a write, the rounds saved before it still open. Kept are the
  last `keep_last` rounds, the `keep_best` rounds of lowest WER, and every
  round divisible by `keep_every`; a round that was not due is kept while it is
  the last. Rounds that are not kept go once the newest was read back.
  """

  def __init__(
    self,
    directory: pathlib.Path,
    cfg: config.CheckpointConfig,
    *,
    read_only: bool = False,
  ):
    """`read_only` leaves the directory as it is, whoever writes to it."""
    _silence_orbax()
    self._directory = pathlib.Path(directory).absolute()
    self._cfg = cfg
    self._retention = _Retention(cfg)
    # The round that is being written, with the arrays' types and shapes.
    self._writing: tuple[int, dict[str, Any]] | None = None
    self._failure: CheckpointError | None = None
    with self._explained(None):
      if not read_only:
        self._directory.mkdir(parents=True, exist_ok=True)
      self._plain = plain_path.PlainPath(self._directory)
      self._manager = ocp.CheckpointManager(
        self._plain.path,
        options=_options(self._retention, read_only),
        item_handlers={_ITEM: ocp.StandardCheckpointHandler()},
      )

  @property
  def rounds(self) -> tuple[int, ...]:
    """The rounds that can be restored, ascending."""
    return tuple(sorted(self._manager.all_steps()))

  @property
  def latest_round(self) -> int | None:
    return max(self.rounds, default=None)

  def is_due(self, round_index: int) -> bool:
    """Whether `save` writes this round without being forced."""
    return round_index % self._cfg.every_rounds == 0

  def save(
    self,
    round_index: int,
    state: Any,
    wer: float | None,
    *,
    force: bool = False,
  ) -> None:
    """Starts to write a round, unless it is not due or already there.

    The arrays are copied before this returns, so the caller may donate them.

    Args:
      round_index: names the checkpoint.
      state: a pytree of arrays.
      wer: ranks the round for `keep_best`; None or NaN: the round has no rank.
      force: write a round that is not due, too.

    Raises:
      CheckpointError: this write, or the one before it, failed.
    """
    if not (force or self.is_due(round_index)):
      return
    self.wait()
    if round_index in self.rounds:
      return
    metrics = None
    if wer is not None and math.isfinite(wer):
      metrics = {'wer': float(wer)}
    with self._explained(round_index):
      arrays = flatten(state, _copy)
      _check_space(self._directory, arrays)
      self._writing = round_index, flatten(arrays, _spec)
      self._manager.save(
        round_index,
        args=ocp.args.Composite(**{_ITEM: ocp.args.StandardSave(arrays)}),
        metrics=metrics,
        force=True,
      )

  def restore(self, round_index: int, like: Any) -> Any:
    """The state of a round, in the tree, types and placement of `like`.

    Args:
      round_index: one of `rounds`.
      like: a pytree of arrays or ShapeDtypeStructs.

    Raises:
      CheckpointError: the round was not saved, cannot be read, or holds
        another tree than `like`; names the first leaf that differs.
    """
    self.wait()
    if round_index not in self.rounds:
      raise CheckpointError(
        f'{self._directory} has no checkpoint of round {round_index}; '
        f'want one of: {_listed(self.rounds)}.'
      )
    target = flatten(like, _spec)
    with self._readable(round_index):
      arrays = self._read(round_index, target)
    leaves, tree = jax.tree.flatten(like)
    placed = [
      _place(array, leaf)
      for array, leaf in zip(
        (arrays[path] for path in target), leaves, strict=True
      )
    ]
    return jax.tree.unflatten(tree, placed)

  def wait(self) -> None:
    """Returns when nothing is being written; raises if that write failed.

    What was written is read back, then rounds that are not kept are deleted.
    After a failure each further call fails likewise: open the directory anew.
    """
    if self._failure:
      raise self._failure
    round_index, specs = self._writing or (None, {})
    with self._explained(round_index):
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    if round_index is None:
      return
    self._writing = None
    with self._explained(round_index, 'be read back from'):
      self._read(round_index, specs)
    with self._explained(round_index):
      for unwanted in self._retention.unwanted:
        self._manager.delete(unwanted)

  def close(self) -> None:
    """Waits for the last write, then lets go of the directory."""
    try:
      self.wait()
    finally:
      with contextlib.suppress(Exception):
        self._manager.close()
      self._plain.close()

  def _read(self, round_index: int, specs: dict[str, Any]) -> dict[str, Any]:
    self._check_like(round_index, specs)
    target = flatten(specs, _empty)
    return self._manager.restore(
      round_index,
      args=ocp.args.Composite(**{_ITEM: ocp.args.StandardRestore(target)}),
    )[_ITEM]

  def _check_like(self, round_index: int, target: dict[str, Any]) -> None:
    saved = dict(self._manager.item_metadata(round_index)[_ITEM])
    for path in [*target, *(path for path in saved if path not in target)]:
      there, wanted = _describe(saved.get(path)), _describe(target.get(path))
      if there != wanted:
        raise CheckpointError(
          f'{self._directory / str(round_index)} is of another model or '
          f'optimizer: {path} is {there} there; want {wanted}.'
        )

  @contextlib.contextmanager
  def _readable(self, round_index: int):
    try:
      yield
    except CheckpointError:
      raise
    except Exception as error:
      raise CheckpointError(
        f'{self._directory / str(round_index)} cannot be read: '
        f'{self._told(error)} Delete that folder to go on from an earlier '
        f'round (saved: {_listed(self.rounds)}).'
      ) from error

  @contextlib.contextmanager
  def _explained(self, round_index: int | None, what: str = 'be written to'):
    try:
      yield
    except Exception as error:
      self._failure = CheckpointError(
        f'{self._directory} cannot hold checkpoints: {_first_line(error)}'
        if round_index is None
        else self._lost(round_index, what, error)
      )
      raise self._failure from error

  def _lost(self, round_index: int, what: str, error: Exception) -> str:
    # The manager may count the round that failed.
    with contextlib.suppress(Exception):
      self._manager.reload()
    earlier = [index for index in self.rounds if index != round_index]
    return (
      f'the checkpoint of round {round_index} could not {what} '
      f'{self._directory}: {self._told(error)} Earlier checkpoints are '
      f'intact (rounds: {_listed(earlier)}); the same command resumes.'
    )

  def _told(self, error: Exception) -> str:
    return self._plain.told(_first_line(error))


class _Retention(checkpoint_managers.PreservationPolicy):
  """Says which rounds may go, and lets Orbax delete none by itself.

  It would delete them before anybody has read what is to replace them.
  """

  def __init__(self, cfg: config.CheckpointConfig):
    self.unwanted: list[int] = []
    self._every = cfg.every_rounds
    policies: list[Any] = [checkpoint_managers.LatestN(cfg.keep_last)]
    if cfg.keep_best:
      best = checkpoint_managers.BestN(
        get_metric_fn=_wer,
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


def _options(
  retention: _Retention, read_only: bool
) -> checkpoint_managers.CheckpointManagerOptions:
  return checkpoint_managers.CheckpointManagerOptions(
    # Without a best_fn Orbax does not store the WER beside the state.
    best_fn=_wer,
    best_mode='min',
    preservation_policy=retention,
    cleanup_tmp_directories=not read_only,
    read_only=read_only,
  )


def _wer(metrics: Any) -> float:
  return metrics['wer']


def flatten(tree: Any, of_leaf: Callable[[Any], Any]) -> dict[str, Any]:
  """`of_leaf` of each leaf, under the leaf's path, as checkpoints name it."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path, simple=True, separator='.'): of_leaf(leaf)
    for path, leaf in leaves
  }


def _copy(leaf: Any) -> np.ndarray:
  """An array that owns its memory: on CPU `asarray` shares a device buffer."""
  return np.array(leaf, _dtype(leaf))


def _spec(leaf: Any) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf))


def _empty(leaf: Any) -> np.ndarray:
  return np.empty(np.shape(leaf), _dtype(leaf))


def _dtype(leaf: Any) -> np.dtype:
  return leaf.dtype if hasattr(leaf, 'dtype') else jnp.result_type(leaf)


def _check_space(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
  """A full disk is noticed here in one line; Orbax's threads have many."""
  wanted = sum(array.nbytes for array in arrays.values())
  free = shutil.disk_usage(path).free
  if free < wanted:
    raise OSError(
      f'{os.strerror(errno.ENOSPC)}: {free / 1e6:.1f} MB are free; want '
      f'{wanted / 1e6:.1f}'
    )


def _place(array: np.ndarray, like: Any) -> Any:
  """On the devices of `like`; uncommitted where `like` is, too."""
  if isinstance(like, np.ndarray):
    return array
  sharding = getattr(like, 'sharding', None)
  if sharding is None or not getattr(like, 'committed', True):
    return jnp.asarray(array)
  return jax.device_put(array, sharding)


def _describe(leaf: Any) -> str:
  if leaf is None:
    return 'absent'
  return f'{np.dtype(leaf.dtype).name}{list(leaf.shape)}'


def _listed(rounds: Iterable[int]) -> str:
  return ', '.join(map(str, rounds)) or 'none'


def _first_line(error: BaseException) -> str:
  text = (str(error).strip() or type(error).__name__).splitlines()[0]
  if 'RESOURCE_EXHAUSTED' in text:
    text = 'no space left on device'
  return f'{text[:300].rstrip(".")}.'


@functools.cache
def _silence_orbax() -> None:
  """Orbax logs each step of each save; what matters it raises as well."""
  logging.getLogger('absl').addFilter(_is_not_orbax)
  previous = sys.unraisablehook

  def hook(unraisable: Any) -> None:
    # When one write of many fails, those that end later report to an event
    # loop that is gone: a traceback each, of an error that was raised already.
    if str(unraisable.exc_value) != 'Event loop is closed':
      previous(unraisable)

  sys.unraisablehook = hook


def _is_not_orbax(record: logging.LogRecord) -> bool:
  return 'orbax' not in pathlib.PurePath(record.pathname).parts
