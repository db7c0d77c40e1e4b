"""Calls in threads: JAX and LAPACK leave Python free while they compute."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any


def in_order(
  function: Callable[..., Any], items: Iterable[tuple], num_parallel: int
) -> Iterator[tuple]:
  """(*item, function(*item)) of each item, in the order of the items.

  At most `num_parallel` calls run, and no more items than that are drawn ahead
  of what is yielded. An exception, Ctrl-C too, does not wait for other calls.
  """
  items = iter(items)
  pool = futures.ThreadPoolExecutor(num_parallel)
  running: collections.deque = collections.deque()
  try:
    while True:
      for item in itertools.islice(items, num_parallel - len(running)):
        running.append((item, pool.submit(function, *item)))
      if not running:
        return
      item, call = running.popleft()
      yield (*item, call.result())
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
