"""Victims attacked in threads that meet where they compute alike.

JAX and LAPACK leave Python free while they compute, hence threads. What an
utterance needs keeps a GPU hardly busy: its seconds are the number of steps,
one after another. The threads of `in_order` therefore wait where they come to
`call`. Once all of them do, those who want the same function of arrays of the
same shapes are given the results of one vmapped program, which takes as many
steps as the slowest of them. What was called first in the group goes first, so
that who is behind catches up.
"""

import collections
import contextlib
import contextvars
import dataclasses
import functools
import itertools
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent import futures
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Function = Callable[..., PyTree]


def in_order(
  function: Callable[..., Any], items: Iterable[tuple], num_parallel: int
) -> Iterator[tuple]:
  """(*item, function(*item)) of each item, in the order of the items.

  At most `num_parallel` run, each in a thread, as a group whose like calls
  meet in `call`; a single one is by itself. No more items than that are drawn
  ahead of what is yielded. An exception, Ctrl-C too, does not wait for others.
  """
  items = iter(items)
  group = _Group(num_parallel)
  meet = group.caller if num_parallel > 1 else contextlib.nullcontext
  pool = futures.ThreadPoolExecutor(num_parallel)
  running: collections.deque = collections.deque()

  def run(item: tuple) -> Any:
    with meet():
      return function(*item)

  try:
    while True:
      for item in itertools.islice(items, num_parallel - len(running)):
        running.append((item, pool.submit(run, item)))
      if not running:
        return
      item, result = running.popleft()
      yield (*item, result.result())
  finally:
    pool.shutdown(wait=False, cancel_futures=True)


def call(
  function: Function, static: tuple[Hashable, ...], shared: PyTree, own: PyTree
) -> PyTree:
  """function(*static, shared, own), compiled; together with a group's others.

  `shared` are arrays that all callers hold, the very same; `own` are each
  caller's. In a group sums may be taken in another order than alone, and an
  error is that of all whose calls were computed together.
  """
  group = _group.get()
  if group is None:
    return _alone(function)(static, shared, own)
  return group.call(function, static, shared, own)


_group: contextvars.ContextVar['_Group | None'] = contextvars.ContextVar(
  'group', default=None
)


@dataclasses.dataclass(slots=True, eq=False)
class _Call:
  """One thread's; `is_done` once `results` or `error` is there."""

  function: Function
  key: Hashable
  own: PyTree
  compute: Callable[[list[PyTree]], list[PyTree]]
  results: PyTree = None
  error: BaseException | None = None
  is_done: bool = False


class _Group:
  """Threads that compute together, `size` calls at most in one program.

  Programs are compiled for `size` calls; of fewer, some are computed twice.
  """

  def __init__(self, size: int) -> None:
    self._size = size
    self._changed = threading.Condition()
    self._num_callers = 0
    self._is_computing = False
    self._waiting: list[_Call] = []
    # How early each function was first called.
    self._turns: dict[Function, int] = {}

  @contextlib.contextmanager
  def caller(self) -> Iterator[None]:
    """In here the calls of this thread are the group's, which awaits them."""
    with self._changed:
      self._num_callers += 1
    token = _group.set(self)
    try:
      yield
    finally:
      _group.reset(token)
      with self._changed:
        self._num_callers -= 1
        self._changed.notify_all()

  def call(
    self,
    function: Function,
    static: tuple[Hashable, ...],
    shared: PyTree,
    own: PyTree,
  ) -> PyTree:
    """As `call`; from within `caller`."""
    compute = functools.partial(
      _computed, function, static, shared, size=self._size
    )
    key = function, static, _identity(shared), _kind(own)
    mine = _Call(function, key, own, compute)
    with self._changed:
      self._turns.setdefault(function, len(self._turns))
      self._waiting.append(mine)
      self._changed.notify_all()
      while not mine.is_done:
        if self._is_due():
          self._compute()
        else:
          self._changed.wait()
    if mine.error is not None:
      raise mine.error
    return mine.results

  def _is_due(self) -> bool:
    return not self._is_computing and len(self._waiting) == self._num_callers

  def _compute(self) -> None:
    """One set of like calls, in this thread, with the lock let go."""
    counts = collections.Counter(each.key for each in self._waiting)
    first = min(
      self._waiting,
      key=lambda each: (self._turns[each.function], -counts[each.key]),
    )
    alike = [each for each in self._waiting if each.key == first.key]
    calls = alike[: self._size]
    self._is_computing = True
    self._changed.release()
    try:
      results = calls[0].compute([each.own for each in calls])
      for each, result in zip(calls, results, strict=True):
        each.results = result
    except BaseException as error:
      for each in calls:
        each.error = error
    finally:
      self._changed.acquire()
      self._is_computing = False
      for each in calls:
        each.is_done = True
        self._waiting.remove(each)
      self._changed.notify_all()


def _computed(
  function: Function,
  static: tuple[Hashable, ...],
  shared: PyTree,
  owned: list[PyTree],
  *,
  size: int,
) -> list[PyTree]:
  """The results of each of `owned`."""
  padded = owned + owned[:1] * (size - len(owned))
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *padded)
  results = _mapped(function)(static, shared, stacked)
  jax.block_until_ready(results)
  return [
    jax.tree.map(lambda leaf, index=index: leaf[index], results)
    for index in range(len(owned))
  ]


@functools.cache
def _alone(function: Function) -> Function:
  def compute(
    static: tuple[Hashable, ...], shared: PyTree, own: PyTree
  ) -> PyTree:
    return function(*static, shared, own)

  return jax.jit(compute, static_argnums=0)


@functools.cache
def _mapped(function: Function) -> Function:
  def compute(
    static: tuple[Hashable, ...], shared: PyTree, stacked: PyTree
  ) -> PyTree:
    one = functools.partial(function, *static)
    return jax.vmap(one, (None, 0))(shared, stacked)

  return jax.jit(compute, static_argnums=0)


def _identity(tree: PyTree) -> Hashable:
  return tuple(id(leaf) for leaf in jax.tree.leaves(tree))


def _kind(tree: PyTree) -> Hashable:
  leaves, structure = jax.tree.flatten(tree)
  return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
