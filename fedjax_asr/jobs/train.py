"""Trains a recogniser by simulated federated learning."""

import contextlib
import os
import time
import typing
from collections.abc import Sequence

import jax
import rich.console

from fedjax_asr import checkpoint, config, progress, run_directory, run_log
from fedjax_asr.federated import cohort, devices
from fedjax_asr.federated import round as round_lib
from fedjax_asr.figures import training
from fedjax_asr.jobs import (
  cohort_feed,
  disk_errors,
  heldout,
  metrics,
  preparation,
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
  the end are those of a run that never was, times apart.

  Raises:
    UserError: of any room; what was written stays usable.
  """
  with (
    run_directory.open_run(
      workdir, cfg, allow_config_change=allow_config_change
    ) as directory,
    disk_errors.explained(directory.path, '; the same command resumes'),
  ):
    _run(cfg, directory)


def _run(cfg: config.Config, directory: run_directory.RunDirectory) -> None:
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  checkpoints = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
  with contextlib.closing(checkpoints):
    behind = checkpoints.latest_round or 0
    if behind >= cfg.federated.num_rounds:
      console.print(
        f'{directory.path}: finished after round {behind}; nothing to do.'
      )
      return
    _train(cfg, directory, checkpoints, console)
  figure = training.plot(directory.path)
  console.print(
    f'finished: metrics, checkpoints and transcripts in {directory.path}, '
    f'first figure {figure}'
  )


def _train(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  checkpoints: checkpoint.Checkpoints,
  console: rich.console.Console,
) -> None:
  """Runs every round that is left."""
  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  device_list = devices.select(cfg.federated)
  data = preparation.prepare(
    cfg, acoustic.num_output_frames, directory, console
  )
  feed = cohort_feed.CohortFeed(
    data.train, cfg.federated, cfg.seed, device_list
  )
  held_out = heldout.HeldOut(acoustic, data, cfg.evaluation, directory.path)
  state, first = starting_point.starting_point(
    cfg, acoustic, checkpoints, device_list
  )
  console.print(summary.text(cfg, data, feed, device_list, state))
  key, num_rounds = jax.random.key(cfg.seed), cfg.federated.num_rounds
  cohorts = feed.ahead(range(first, num_rounds))
  fed = next(cohorts)
  round_fn, compile_seconds = _compiled(
    _round_fn(cfg, acoustic, feed, device_list), state, fed.members, key
  )
  record: dict[str, float] = {'compile_seconds': compile_seconds}
  with (
    contextlib.closing(cohorts),
    run_log.MetricsLog(directory, first or None) as log,
    progress.Progress(num_rounds, start=first, console=console) as bar,
  ):
    for index in range(first + 1, num_rounds + 1):
      is_last = index == num_rounds
      clock = time.perf_counter()
      # With the wait for a cohort, if there is one.
      fed = fed or next(cohorts)
      record['padding_waste'] = fed.padding_waste
      state, measured = round_fn(state, fed.members, key)
      # Waits for the devices, while the next cohort is assembled.
      measured = jax.device_get(measured)
      seconds = time.perf_counter() - clock
      record |= metrics.of_round(measured, seconds, cfg.features)
      if is_last or held_out.is_due(index):
        record |= held_out.evaluate(state, bar.print)
      # In this order: a resumed run drops the lines after its checkpoint.
      log.write(index, record)
      checkpoints.save(index, state, record.get('eval/wer'), force=is_last)
      bar.advance(
        loss=record['train/loss'],
        wer=record.get('eval/wer'),
        clients_per_second=record['clients_per_second'],
        audio_hours_per_second=record['audio_hours_per_second'],
      )
      record, fed = {}, None


def _round_fn(
  cfg: config.Config,
  acoustic: model.Model,
  feed: cohort_feed.CohortFeed,
  device_list: Sequence[devices.Device],
) -> round_lib.RoundFn:
  return round_lib.make_round(
    acoustic,
    cfg.federated,
    cfg.augment,
    feed.layout.frame_buckets,
    device_list,
  )


def _compiled(
  round_fn: round_lib.RoundFn,
  state: round_lib.ServerState,
  members: cohort.Cohort,
  key: jax.Array,
) -> tuple[round_lib.RoundFn, float]:
  """The function for arguments of these shapes, and the seconds it took.

  Ahead of time, so that no round's seconds contain it. Given other shapes the
  function raises: a run cannot compile its round a second time unnoticed.
  """
  started = time.perf_counter()
  jitted = typing.cast(jax.stages.Wrapped, round_fn)
  compiled = jitted.lower(state, members, key).compile()
  return compiled, time.perf_counter() - started
