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
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from fedjax_asr import config

_ITEM = 'state'


class CheckpointError(config.UserError):
  """A checkpoint could not be written, or is not the one that was wanted."""


class Checkpoints:
  """The checkpoints in one directory.

  A round is visible only once it was written whole: whatever kills a process
  in the middle of a write, the rounds saved before it still open. Kept are the
  last `keep_last` rounds, the `keep_best` rounds of lowest WER, and every
  round divisible by `keep_every`.
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
    self._writing: int | None = None
    self._failure: CheckpointError | None = None
    with self._explained(None):
      if not read_only:
        self._directory.mkdir(parents=True, exist_ok=True)
      self._manager = ocp.CheckpointManager(
        self._directory,
        options=_options(cfg, read_only),
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
      self._writing = round_index
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
    target = flatten(like, _empty)
    with self._readable(round_index):
      self._check_like(round_index, target)
      arrays = self._manager.restore(
        round_index,
        args=ocp.args.Composite(**{_ITEM: ocp.args.StandardRestore(target)}),
      )[_ITEM]
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

    After a failure each further call fails likewise: open the directory anew.
    """
    if self._failure:
      raise self._failure
    with self._explained(self._writing):
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    self._writing = None

  def close(self) -> None:
    """Waits for the last write, then lets go of the directory."""
    try:
      self.wait()
    finally:
      with contextlib.suppress(Exception):
        self._manager.close()

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
        f'{_first_line(error)} Delete that folder to go on from an earlier '
        f'round (saved: {_listed(self.rounds)}).'
      ) from error

  @contextlib.contextmanager
  def _explained(self, round_index: int | None):
    try:
      yield
    except Exception as error:
      self._failure = CheckpointError(
        f'{self._directory} cannot hold checkpoints: {_first_line(error)}'
        if round_index is None
        else self._lost(round_index, error)
      )
      raise self._failure from error

  def _lost(self, round_index: int, error: Exception) -> str:
    # The manager has already forgotten the rounds that were to make room.
    with contextlib.suppress(Exception):
      self._manager.reload()
    return (
      f'the checkpoint of round {round_index} could not be written to '
      f'{self._directory}: {_first_line(error)} Earlier checkpoints are '
      f'intact (rounds: {_listed(self.rounds)}); the same command resumes.'
    )


def _options(
  cfg: config.CheckpointConfig, read_only: bool
) -> checkpoint_managers.CheckpointManagerOptions:
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
  return checkpoint_managers.CheckpointManagerOptions(
    # Without a best_fn Orbax does not store the WER beside the state.
    best_fn=_wer,
    best_mode='min',
    preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
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
