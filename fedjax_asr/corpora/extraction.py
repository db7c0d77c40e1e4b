"""Features of many utterances, by spawned processes that never import jax."""

import collections
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent import futures

import numpy as np
import threadpoolctl
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.corpora import problem, utterance

# [frames, features]; `_` where arrays of one list differ in it.
Frames = Float[np.ndarray, '_ features']
# What there is of an utterance: features, or the reason why there are none.
Result = Frames | problem.Problem

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
  is this process itself. Closing the iterator stops them; they also end when
  this process is killed.

  Raises:
    CorpusError: if a process dies.
  """
  batches = [
    utterances[start : start + _BATCH]
    for start in range(0, len(utterances), _BATCH)
  ]
  num_workers = min(num_workers or _num_cores(), len(batches))
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
    return item.source.features(features, max_seconds)
  except ValueError as error:
    kind = next(
      (kind for type_, kind in _KINDS.items() if isinstance(error, type_)),
      problem.Kind.UNREADABLE,
    )
    return problem.Problem(item.id, item.source.describe(), kind, str(error))


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
  waiting = collections.deque()
  try:
    for batch in batches:
      waiting.append(executor.submit(extract, batch, features, max_seconds))
      if len(waiting) > _QUEUED * num_workers:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()
  except futures.BrokenExecutor as error:
    raise utterance.CorpusError(
      'A process that computes features died (out of memory?); lower '
      f'config.data.num_workers={num_workers}.'
    ) from error
  finally:
    executor.shutdown(cancel_futures=True)


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
