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

from fedjax_asr import checkpoint_retention, config, plain_path

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
    self._retention = checkpoint_retention.Retention(cfg)
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

  def restore(
    self, round_index: int, like: Any, *, partial: bool = False
  ) -> Any:
    """The state of a round, in the tree, types and placement of `like`.

    Args:
      round_index: one of `rounds`.
      like: a pytree of arrays or ShapeDtypeStructs.
      partial: the round may hold more than `like`.

    Raises:
      CheckpointError: the round was not saved, cannot be read, is not finite,
        or holds another tree than `like`; names the first such leaf.
    """
    self.wait()
    if round_index not in self.rounds:
      raise CheckpointError(
        f'{self._directory} has no checkpoint of round {round_index}; '
        f'want one of: {_listed(self.rounds)}.'
      )
    target = flatten(like, _spec)
    with self._readable(round_index):
      more = self._saved(round_index) if partial else {}
      more = flatten(more, _spec)
      arrays = self._read(round_index, target | (more | target))
      self._check_finite(round_index, arrays)
    leaves, tree = jax.tree.flatten(like)
    placed = [
      _place(array, leaf)
      for array, leaf in zip(
        (arrays[path] for path in target), leaves, strict=True
      )
    ]
    return jax.tree.unflatten(tree, placed)

  def drop_after(self, round_index: int) -> None:
    """Deletes the later rounds, the last first; raises `CheckpointError`."""
    self.wait()
    for later in reversed(self.rounds):
      if later > round_index:
        with self._explained(later, 'be deleted from'):
          self._manager.delete(later)

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
      try:
        self._read(round_index, specs)
      except Exception:
        # Else it would be what a run goes on from.
        self._manager.delete(round_index)
        raise
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

  def _saved(self, round_index: int) -> dict[str, Any]:
    """What the round holds: by path, something with a shape and a dtype."""
    return dict(self._manager.item_metadata(round_index)[_ITEM])

  def _check_like(self, round_index: int, target: dict[str, Any]) -> None:
    saved = self._saved(round_index)
    for path in [*target, *(path for path in saved if path not in target)]:
      there, wanted = _describe(saved.get(path)), _describe(target.get(path))
      if there != wanted:
        raise CheckpointError(
          f'{self._directory / str(round_index)} is of another model or '
          f'optimizer: {path} is {there} there; want {wanted}.'
        )

  def _check_finite(self, round_index: int, arrays: dict[str, Any]) -> None:
    for path, array in arrays.items():
      if not jnp.isfinite(array).all():
        raise CheckpointError(
          f'{self._directory / str(round_index)} is of a training that '
          f'diverged: {path} is not finite; want an earlier round (saved: '
          f'{_listed(self.rounds)}).'
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


def _options(
  retention: checkpoint_retention.Retention, read_only: bool
) -> checkpoint_managers.CheckpointManagerOptions:
  return checkpoint_managers.CheckpointManagerOptions(
    # Without a best_fn Orbax does not store the WER beside the state.
    best_fn=checkpoint_retention.wer,
    best_mode='min',
    preservation_policy=retention,
    cleanup_tmp_directories=not read_only,
    read_only=read_only,
  )


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
