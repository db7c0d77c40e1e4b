"""Features of many utterances, by spawned processes that never import jax."""

import collections
import logging
import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from concurrent import futures
from typing import NamedTuple

import numpy as np
import threadpoolctl
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.corpora import problem, utterance

_logger = logging.getLogger(__name__)

# [frames, features]; `_` where arrays of one list differ in it.
Frames = Float[np.ndarray, '_ features']


class Result(NamedTuple):
  """What there is of an utterance."""

  outcome: Frames | problem.Problem  # Why there are no features.
  sample_rate: int = 0  # Hz of its recording; 0 where nothing was read.


_BATCH = 16  # Utterances sent to a process at once.
_QUEUED = 4  # Batches that wait for each process at most.
_KINDS = {
  utterance.TooLongError: problem.Kind.TOO_LONG,
  utterance.WrongWidthError: problem.Kind.WRONG_WIDTH,
  utterance.SilentError: problem.Kind.SILENT,
  utterance.SegmentError: problem.Kind.BAD_SEGMENT,
}


def extracted(
  utterances: Sequence[utterance.Utterance],
  features: config.FeaturesConfig,
  max_seconds: float,
  num_workers: int,
) -> Generator[list[Result]]:
  """Results in the order of the utterances, in batches.

  `num_workers` processes (0: one per core), at most one per batch; one worker
  is this process itself, and so it is where a program has no file that they
  could import. Closing the iterator stops them; they also end when this process
  is killed. Each decodes a recording of many segments once at most, and holds
  one segment of it and a block.

  Raises:
    CorpusError: if a process dies.
  """
  batches = [
    utterances[start : start + _BATCH]
    for start in range(0, len(utterances), _BATCH)
  ]
  num_workers = min(num_workers or _num_cores(), len(batches))
  if num_workers > 1 and not _can_spawn():
    _logger.warning(
      'Features are computed in one process, because the program is not a '
      'file: others would have to import it.'
    )
    num_workers = 1
  if num_workers <= 1:
    return (extract(batch, features, max_seconds) for batch in batches)
  return _spawned(batches, features, max_seconds, num_workers)


def extract(
  utterances: Sequence[utterance.Utterance],
  features: config.FeaturesConfig,
  max_seconds: float,
) -> list[Result]:
  return [_result(item, features, max_seconds) for item in utterances]


def _result(
  item: utterance.Utterance,
  features: config.FeaturesConfig,
  max_seconds: float,
) -> Result:
  try:
    frames = item.source.features(features, max_seconds)
    return Result(frames, item.source.sample_rate())
  except ValueError as error:
    kind = next(
      (kind for type_, kind in _KINDS.items() if isinstance(error, type_)),
      problem.Kind.UNREADABLE,
    )
    reason = str(error)
    return Result(
      problem.Problem(item.id, item.source.describe(), kind, reason)
    )


def _spawned(
  batches: Sequence[Sequence[utterance.Utterance]],
  features: config.FeaturesConfig,
  max_seconds: float,
  num_workers: int,
) -> Generator[list[Result]]:
  # Spawned, because a forked child of a process that runs jax may hang.
  executor = futures.ProcessPoolExecutor(
    num_workers, multiprocessing.get_context('spawn'), _start_worker
  )
  waiting, processes = collections.deque(), set()
  try:
    for batch in batches:
      waiting.append(executor.submit(extract, batch, features, max_seconds))
      processes.update(multiprocessing.active_children())
      if len(waiting) > _QUEUED * num_workers:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()
  except futures.BrokenExecutor as error:
    executor.shutdown()
    raise utterance.CorpusError(
      f'A process that computes features {_death(processes)} '
      f'(config.data.num_workers={num_workers}).'
    ) from error
  finally:
    executor.shutdown(cancel_futures=True)


def _death(processes: Iterable[multiprocessing.process.BaseProcess]) -> str:
  """Of what the first of them died that was not ended for another's sake."""
  codes = [each.exitcode for each in processes if each.exitcode]
  code = next((code for code in codes if code != -signal.SIGTERM), 0)
  if code == -signal.SIGKILL:
    return 'was killed, out of memory?; want fewer'
  if code < 0:
    return f'died of {signal.Signals(-code).name}'
  return f'ended with status {code}; what it said is above'


def _can_spawn() -> bool:
  """Whether a spawned process can import the main module, as it will.

  Not where it comes from standard input or another pipe; a session without a
  main file has none to import.
  """
  main = sys.modules['__main__']
  if getattr(main, '__spec__', None) is not None:
    return True
  path = getattr(main, '__file__', None)
  return path is None or os.path.isfile(path)


def _start_worker() -> None:
  # Ctrl-C reaches the whole process group; the parent stops its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  # The processes share the cores already: twice as fast as with more threads.
  threadpoolctl.threadpool_limits(1)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)


def _num_cores() -> int:
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
