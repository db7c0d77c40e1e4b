"""Trains a recogniser by simulated federated learning."""

import contextlib
import os
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
import rich.console

from fedjax_asr import (
  checkpoint,
  client_log,
  config,
  environment,
  interruption,
  progress,
  run_alphabet,
  run_directory,
  run_log,
)
from fedjax_asr.corpora import audit, datasets
from fedjax_asr.federated import (
  cohort,
  devices,
  memory_place,
  partition,
  rounds,
  server,
)
from fedjax_asr.figures import training
from fedjax_asr.jobs import (
  cohort_feed,
  disk_errors,
  divergence,
  heldout,
  metrics,
  preparation,
  run_corpus,
  run_memory,
  settling,
  starting_point,
  summary,
)
from fedjax_asr.models import model


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Trains to the end, from the last checkpoint if there is one.

  However a run was interrupted, the metrics and checkpoints that it leaves in
  the end are those of a run that never was, times apart. Ctrl-C and the like
  end it once the round under way is done and saved.

  Raises:
    UserError: of any room; what was written stays usable.
    Interrupted: a signal came.
  """
  with (
    run_directory.open_run(
      workdir, cfg, allow_config_change=allow_config_change
    ) as directory,
    disk_errors.explained(directory.path, '; the same command resumes'),
  ):
    _run(directory.config, directory)


def _run(cfg: config.Config, directory: run_directory.RunDirectory) -> None:
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  with (
    # Around the checkpoints: a signal may come while one is written.
    interruption.caught() as signals,
    contextlib.closing(
      checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
    ) as checkpoints,
  ):
    behind = checkpoints.latest_round or 0
    if behind >= cfg.federated.num_rounds:
      directory.check_unchanged(
        f'is finished after round {behind} (config.federated.num_rounds='
        f'{cfg.federated.num_rounds})'
      )
      console.print(
        f'{directory.path}: finished after round {behind}; nothing to do.'
      )
      return
    warning = _train(cfg, directory, checkpoints, console, signals)
  figure = training.plot(directory.path)
  console.print(
    f'finished: metrics, checkpoints and transcripts in {directory.path}, '
    f'first figure {figure}{warning and "; "}{warning}'
  )


def _train(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  checkpoints: checkpoint.Checkpoints,
  console: rich.console.Console,
  signals: interruption.Interruption,
) -> str:
  """Prepares the run, and then changes its directory, and not before.

  What to warn of in the end, or ''.
  """
  alphabet = None
  if checkpoints.latest_round is not None:
    alphabet = run_alphabet.resumed(directory.alphabet, cfg.data)
  data = preparation.prepare(cfg, console, alphabet)
  acoustic = model.acoustic(cfg.model, cfg.features.num_features, data.alphabet)
  signals.check()
  cfg = directory.config = settling.settled(cfg, data)
  device_list = devices.select(cfg.federated)
  if checkpoints.latest_round is not None:
    run_corpus.check_resumed(directory, data, console)
  feed = cohort_feed.CohortFeed(
    data.train, cfg.federated, cfg.seed, device_list
  )
  held_out = heldout.HeldOut(acoustic, data, cfg.evaluation, directory.path)
  state, first = starting_point.starting_point(
    cfg, acoustic, checkpoints, device_list, len(feed.clients)
  )
  memories = run_memory.open_memories(
    cfg, acoustic, directory, feed.clients, device_list, first
  )
  told = run_memory.told(memories, len(feed.clients))
  console.print(summary.text(cfg, data, feed, device_list, state, told))
  signals.check()
  key = jax.random.key(cfg.seed)
  round_fn, compile_seconds = _compiled(
    _round_fn(cfg, acoustic, feed, device_list),
    state,
    feed.shapes,
    memories.shapes(feed.shapes.client_ids.shape),
    key,
  )
  signals.check()
  run_memory.begin(memories, directory, feed.clients)
  _begin(cfg, directory, data, first, console)
  cohorts = feed.ahead(range(first, cfg.federated.num_rounds))
  with (
    contextlib.closing(cohorts),
    run_log.MetricsLog(directory, first or None) as log,
    contextlib.closing(
      client_log.ClientLog(
        directory.clients, cfg.evaluation.clients_every_rounds, first or None
      )
    ) as clients,
    progress.Progress(
      cfg.federated.num_rounds, start=first, console=console
    ) as bar,
  ):
    losses = run_log.read_metrics(directory.metrics)
    loop = _Loop(
      round_fn=lambda state, members, kept: round_fn(state, members, kept, key),
      cfg=cfg,
      clients=feed.clients,
      memories=memories,
      held_out=held_out,
      watch=divergence.LossWatch(line.get('train/loss') for line in losses),
      checkpoints=checkpoints,
      signals=signals,
      log=log,
      client_log=clients,
      bar=bar,
    )
    _run_rounds(loop, state, first, cohorts, compile_seconds)
    return loop.watch.at_end()


def _begin(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  data: datasets.Datasets,
  first: int,
  console: rich.console.Console,
) -> None:
  """Nothing can be refused any more: the directory becomes this config's."""
  note = environment.other_cores(environment.read(directory.versions_json))
  if first and note:
    console.print(note)
  audit.write(data.problems, directory.skipped)
  contents = preparation.statistics(data, directory)
  contents[directory.corpus] = run_corpus.recorded(cfg.data, data)
  contents[directory.alphabet] = run_alphabet.content(data.alphabet)
  directory.begin(first, contents)


class _Loop(NamedTuple):
  """What each round uses."""

  round_fn: Callable[
    [server.ServerState, cohort.Cohort, rounds.ClientMemory],
    tuple[server.ServerState, rounds.ClientMemory, rounds.Outcome],
  ]
  cfg: config.Config
  clients: Sequence[partition.Client]
  memories: memory_place.Memories
  held_out: heldout.HeldOut
  watch: divergence.LossWatch
  checkpoints: checkpoint.Checkpoints
  signals: interruption.Interruption
  log: run_log.MetricsLog
  client_log: client_log.ClientLog
  bar: progress.Progress


def _run_rounds(
  loop: _Loop,
  state: server.ServerState,
  first: int,
  cohorts: Iterator[cohort_feed.Fed],
  compile_seconds: float,
) -> None:
  """Runs every round that is left; ends after one, saved, for a signal."""
  record: dict[str, float | None] = {'compile_seconds': compile_seconds}
  num_rounds = loop.cfg.federated.num_rounds
  for index in range(first + 1, num_rounds + 1):
    is_last = index == num_rounds
    clock = time.perf_counter()
    # With the wait for a cohort, if there is one.
    fed = next(cohorts)
    record['padding_waste'] = fed.padding_waste
    state, outcome = _round(loop, index, state, fed)
    seconds = time.perf_counter() - clock
    record |= metrics.of_round(outcome.metrics, seconds, loop.cfg.features)
    record |= metrics.of_clock(fed.timing, loop.cfg.federated)
    _tell_of_clients(loop, index, fed.client_ids, outcome, record)
    if is_last or loop.held_out.is_due(index):
      record |= loop.held_out.evaluate(state, loop.bar.print)
    # In this order: a resumed run drops the lines after its checkpoint.
    loop.log.write(index, record)
    wer = record.get('eval/wer')
    _save(loop, index, state, wer, force=is_last)
    loop.bar.advance(
      loss=record['train/loss'],
      wer=wer,
      clients_per_second=record['clients_per_second'],
      times_real_time=record['times_real_time'],
    )
    if loop.signals.came and not is_last:
      _save(loop, index, state, wer, force=True)
      loop.signals.check()
    record = {}
  # What a round that is not kept any more was the last to need.
  loop.checkpoints.wait()
  loop.memories.prune(loop.checkpoints.rounds)


def _round(
  loop: _Loop, index: int, state: server.ServerState, fed: cohort_feed.Fed
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
  loop: _Loop,
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


def _tell_of_clients(
  loop: _Loop,
  index: int,
  client_ids: np.ndarray,
  outcome: rounds.Outcome,
  record: dict[str, float | None],
) -> None:
  """Raises where a round diverged, its line written, its state not saved."""
  names = [client.name for client in loop.clients]
  loop.client_log.write(index, names, client_ids, outcome.reports)
  broken = divergence.broken(loop.clients, client_ids, outcome.reports)
  if outcome.metrics.is_broken:
    loop.log.write(index, record)
    loop.checkpoints.wait()
    raise divergence.error(
      index, outcome, broken, loop.checkpoints.latest_round
    )
  if broken:
    loop.bar.print(
      f'round {index}: left out {divergence.named(broken)}: what was sent or '
      'kept is not finite'
    )
  warning = loop.watch.warning(record['train/loss'])
  if warning:
    loop.bar.print(f'round {index}: {warning}')


def _round_fn(
  cfg: config.Config,
  acoustic: model.Model,
  feed: cohort_feed.CohortFeed,
  device_list: Sequence[devices.Device],
) -> rounds.RoundFn:
  return rounds.make_round(
    acoustic,
    cfg.federated,
    cfg.augment,
    feed.layout.frame_buckets,
    device_list,
    len(feed.clients),
  )


def _compiled(
  round_fn: rounds.RoundFn,
  state: server.ServerState,
  members: cohort.Cohort,
  memories: rounds.ClientMemory,
  key: jax.Array,
) -> tuple[rounds.RoundFn, float]:
  """The function for arguments of these shapes, and the seconds it took.

  Ahead of time, so that no round's seconds contain it. Given other shapes the
  function raises: a run cannot compile its round a second time unnoticed.
  """
  started = time.perf_counter()
  jitted = typing.cast(jax.stages.Wrapped, round_fn)
  lowered = jitted.lower(state, members, memories, key)
  compiled = lowered.compile()
  return compiled, time.perf_counter() - started
