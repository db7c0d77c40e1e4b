"""The rounds of a run, one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from fedjax_asr import (
  checkpoint,
  client_log,
  config,
  interruption,
  progress,
  run_log,
)
from fedjax_asr.federated import (
  cohort,
  memory_place,
  partition,
  rounds,
  server,
)
from fedjax_asr.jobs import (
  cohort_feed,
  communication,
  divergence,
  early_stopping,
  heldout,
  metrics,
  privacy_books,
  recovery,
  time_split,
)

RoundFn = Callable[
  [server.ServerState, cohort.Cohort, rounds.ClientMemory],
  tuple[server.ServerState, rounds.ClientMemory, rounds.Outcome],
]


class RoundLoop(NamedTuple):
  """What each round uses."""

  round_fn: RoundFn
  cfg: config.Config
  clients: Sequence[partition.Client]
  frame_buckets: Sequence[int]
  memories: memory_place.Memories
  held_out: heldout.HeldOut
  books: privacy_books.PrivacyBooks
  watch: divergence.LossWatch
  patience: early_stopping.Patience
  recovery: recovery.Recovery
  traffic: communication.Traffic
  checkpoints: checkpoint.Checkpoints
  signals: interruption.Interruption
  log: run_log.MetricsLog
  client_log: client_log.ClientLog
  bar: progress.Progress


def run(
  loop: RoundLoop,
  state: server.ServerState,
  first: int,
  cohorts: Iterator[cohort_feed.Fed],
  compile_seconds: float,
) -> None:
  """Runs every round that is left, if patience lasts.

  Ends after one, saved, for a signal.

  Raises:
    DivergedError: a round's line is written, its state is not saved.
    Interrupted: a signal came.
  """
  record: dict[str, float | None] = {'compile_seconds': compile_seconds}
  num_rounds = loop.cfg.federated.num_rounds
  split = time_split.TimeSplit()
  for index in range(first + 1, num_rounds + 1):
    is_last = index == num_rounds
    clock = time.perf_counter()
    with split.of('waiting'):
      fed = next(cohorts)
    record |= metrics.of_frames(fed.frames, loop.frame_buckets)
    with split.of('computing'):
      state, outcome = _round(loop, index, state, fed)
    seconds = time.perf_counter() - clock
    record |= metrics.of_round(outcome.metrics, seconds, loop.cfg.features)
    record |= metrics.of_clock(fed.timing, loop.cfg.federated)
    num_senders = int((fed.client_ids >= 0).sum())
    record |= loop.traffic.of_round(num_senders, fed.timing)
    record |= metrics.of_secure(fed.secure)
    record |= loop.recovery.metrics()
    _tell_of_secure(loop, index, fed)
    _tell_of_clients(loop, index, fed.client_ids, outcome, record)
    is_told = is_last or loop.held_out.is_due(index)
    record |= loop.books.metrics(index, is_whole=is_told)
    if is_told:
      with split.of('evaluation'):
        record |= loop.held_out.evaluate(state, loop.bar.print, loop.bar.within)
      record |= time_split.memory(jax.local_devices())
      loop.patience.add(record.get('eval/wer'))
      is_last |= loop.patience.is_over
    record |= split.taken()
    # In this order: a resumed run drops the lines after its checkpoint.
    loop.log.write(index, record)
    wer = record.get('eval/wer')
    with split.of('checkpoint'):
      _save(loop, index, state, wer, force=is_last)
    loop.bar.advance(
      loss=record['train/loss'],
      wer=wer,
      clients_per_second=record['clients_per_second'],
      times_real_time=record['times_real_time'],
      epsilon=record.get('privacy/epsilon_pld'),
    )
    if loop.signals.came and not is_last:
      _save(loop, index, state, wer, force=True)
      loop.signals.check()
    if is_last:
      break
    record = {}
  # What a round that is not kept any more was the last to need.
  loop.checkpoints.wait()
  loop.memories.prune(loop.checkpoints.rounds)


def _round(
  loop: RoundLoop, index: int, state: server.ServerState, fed: cohort_feed.Fed
) -> tuple[server.ServerState, rounds.Outcome]:
  """What its clients keep goes from where it is and back."""
  ids = fed.client_ids
  memories = loop.memories.gather(ids, state.params, state.norm_state)
  state, memories, outcome = loop.round_fn(state, fed.members, memories)
  # Waits for the devices, while the next cohort is assembled.
  outcome = jax.device_get(outcome)
  kept = np.where(outcome.reports.is_broken, -1, ids)
  loop.memories.scatter(index, kept, memories)
  return state, outcome


def _save(
  loop: RoundLoop,
  index: int,
  state: server.ServerState,
  wer: float | None,
  *,
  force: bool,
) -> None:
  """Memories first: a run may go on from a checkpoint once it is there."""
  if not (force or loop.checkpoints.is_due(index)):
    return
  loop.memories.sync(index)
  loop.checkpoints.save(index, state, wer, force=force)
  loop.memories.prune(loop.checkpoints.rounds)


def _tell_of_secure(loop: RoundLoop, index: int, fed: cohort_feed.Fed) -> None:
  if fed.secure is None or fed.secure.found is not None:
    return
  num_drawn, dropped = len(fed.secure.client_ids), fed.secure.num_dropped
  loop.bar.print(
    f'round {index}: abandoned, its sum stays hidden: {dropped} of {num_drawn} '
    'clients dropped out, too many for config.federated.secure_aggregation.'
    'threshold'
  )


def _tell_of_clients(
  loop: RoundLoop,
  index: int,
  client_ids: np.ndarray,
  outcome: rounds.Outcome,
  record: dict[str, float | None],
) -> None:
  """Raises where a round diverged, its line written, its state not saved."""
  names = [client.name for client in loop.clients]
  loop.client_log.write(index, names, client_ids, outcome.reports)
  broken = divergence.broken(loop.clients, client_ids, outcome.reports)
  loss = record['train/loss']
  limit = loop.cfg.recovery.loss_factor
  why = divergence.why(outcome, broken) or loop.watch.growth(loss, limit)
  if why:
    loop.log.write(index, record)
    loop.checkpoints.wait()
    raise divergence.DivergedError(index, why, loop.checkpoints.latest_round)
  if broken:
    loop.bar.print(
      f'round {index}: left out {divergence.named(broken)}: what was sent or '
      'kept is not finite'
    )
  warning = loop.watch.warning(loss)
  if warning:
    loop.bar.print(f'round {index}: {warning}')
