"""Trains a recogniser by simulated federated learning."""

import contextlib
import functools
import os
import time
import typing
from collections.abc import Sequence
from typing import NamedTuple

import jax
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
  optimizers,
  rounds,
  server,
  wire,
)
from fedjax_asr.jobs import (
  cohort_feed,
  communication,
  disk_errors,
  divergence,
  early_stopping,
  heldout,
  preparation,
  privacy_books,
  recovery,
  round_loop,
  run_corpus,
  run_ending,
  run_memory,
  run_population,
  run_secret,
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
    why = _why_finished(cfg, directory, behind)
    if why:
      finished = f'finished after round {behind}'
      directory.check_unchanged(f'is {finished} ({why})')
      left = run_ending.catch_up(cfg, directory, behind)
      console.print(f'{directory.path}: {finished} ({why}); {left}')
      return
    ended = _train(cfg, directory, checkpoints, console, signals)
  left = run_ending.leave(directory, lambda _: ended.heard)
  told = '; '.join([*filter(None, [ended.told]), *left])
  console.print(
    f'finished: metrics, checkpoints and transcripts in {directory.path}, '
    f'first figure {directory.training_figure}{told and "; "}{told}'
  )


def _why_finished(
  cfg: config.Config, directory: run_directory.RunDirectory, behind: int
) -> str:
  """What the run ended by; '' where rounds are left."""
  # Of a run that has not begun, the number may be left to the corpus.
  if behind and behind >= cfg.federated.num_rounds:
    return f'config.federated.num_rounds={cfg.federated.num_rounds}'
  patience = early_stopping.of_run(
    directory.metrics, cfg.evaluation.patience, behind
  )
  return patience.told() if patience.is_over else ''


class _Ended(NamedTuple):
  """What to say in the end, or '', and what was heard last."""

  told: str
  heard: list[heldout.Heard]


def _train(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  checkpoints: checkpoint.Checkpoints,
  console: rich.console.Console,
  signals: interruption.Interruption,
) -> _Ended:
  """Prepares the run, and then changes its directory, and not before."""
  is_resumed = checkpoints.latest_round is not None
  data = _prepared(cfg, directory, console, is_resumed)
  signals.check()
  acoustic = model.acoustic(cfg.model, cfg.features.num_features, data.alphabet)
  cfg = directory.config = settling.settled(cfg, data)
  device_list = devices.select(cfg.federated)
  # Rounds before the first checkpoint have used their noise, too.
  if is_resumed or (directory.noise_seed.exists() and directory.has_results()):
    run_corpus.check_resumed(directory, data, console)
  secret = run_secret.of_run(directory, cfg.federated)
  feed = cohort_feed.CohortFeed(
    data.train, cfg.federated, cfg.seed, device_list, secret
  )
  books = privacy_books.PrivacyBooks(
    cfg.federated,
    len(feed.clients),
    feed.participants,
    model.num_parameters(jax.eval_shape(acoustic.init, jax.random.key(0))[0]),
  )
  held_out = heldout.HeldOut(acoustic, data, cfg.evaluation, directory.path)
  start = functools.partial(
    _started, cfg, acoustic, directory, checkpoints, feed, device_list
  )
  begun = start()
  recovered = recovery.Recovery(cfg.recovery, directory, begun.round)
  told = (
    *run_memory.told(begun.memories, len(feed.clients)),
    *recovered.told(),
    *books.promise(cfg.federated.num_rounds),
  )
  console.print(summary.text(cfg, data, feed, device_list, begun.state, told))
  signals.check()
  key = jax.random.key(cfg.seed)
  noise_key = secret.key if secret else key
  with preparation.reported(console, 'compiling'):
    round_fn, compile_seconds = _compiled(
      _round_fn(cfg, acoustic, feed, device_list),
      begun.state,
      feed.shapes,
      begun.memories.shapes(feed.shapes.client_ids.shape),
      key,
      recovered.scale,
      noise_key,
    )
  signals.check()
  run_memory.begin(begun.memories, directory, feed.clients)
  recovered.begin()
  run_secret.begin(directory, cfg.federated, secret)
  _begin(cfg, directory, data, feed, begun.round, console)
  run = _Run(
    round_fn=lambda *of_round: round_fn(
      *of_round, key, recovered.scale, noise_key
    ),
    cfg=cfg,
    directory=directory,
    checkpoints=checkpoints,
    feed=feed,
    held_out=held_out,
    books=books,
    recovery=recovered,
    sizes=communication.client_sizes(
      cfg, acoustic, begun.state, len(feed.clients)
    ),
    signals=signals,
    console=console,
  )
  while True:
    try:
      told = _go_on(run, begun, compile_seconds)
      return _Ended(told, held_out.heard)
    except divergence.DivergedError as error:
      console.print(recovered.roll_back(error, checkpoints))
    signals.check()
    # What clients keep may take a quarter of a device.
    del begun
    begun = start()
    run_memory.begin(begun.memories, directory, feed.clients)


def _prepared(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
  is_resumed: bool,
) -> datasets.Datasets:
  """The corpus, in the alphabet of the rounds behind the run, if any are."""
  alphabet = None
  if is_resumed:
    alphabet = run_alphabet.resumed(directory.alphabet, cfg.data)
  data = preparation.prepare(cfg, console, alphabet)
  early_stopping.check(cfg.evaluation, data)
  return data


class _Start(NamedTuple):
  """After `round` rounds."""

  state: server.ServerState
  round: int
  memories: memory_place.Memories


def _started(
  cfg: config.Config,
  acoustic: model.Model,
  directory: run_directory.RunDirectory,
  checkpoints: checkpoint.Checkpoints,
  feed: cohort_feed.CohortFeed,
  device_list: Sequence[devices.Device],
) -> _Start:
  """As of the last checkpoint; the directory is only read."""
  state, first = starting_point.starting_point(
    cfg, acoustic, checkpoints, device_list, len(feed.clients)
  )
  memories = run_memory.open_memories(
    cfg, acoustic, directory, feed.clients, device_list, first
  )
  return _Start(state, first, memories)


class _Run(NamedTuple):
  """What stays as it is, however often a run goes back."""

  round_fn: round_loop.RoundFn
  cfg: config.Config
  directory: run_directory.RunDirectory
  checkpoints: checkpoint.Checkpoints
  feed: cohort_feed.CohortFeed
  held_out: heldout.HeldOut
  books: privacy_books.PrivacyBooks
  recovery: recovery.Recovery
  sizes: wire.Sizes
  signals: interruption.Interruption
  console: rich.console.Console


def _go_on(run: _Run, begun: _Start, compile_seconds: float) -> str:
  """To the last round; what to say then, or ''."""
  first, num_rounds = begun.round, run.cfg.federated.num_rounds
  every_rounds = run.cfg.evaluation.clients_every_rounds
  cohorts = run.feed.ahead(range(first, num_rounds))
  with (
    contextlib.closing(cohorts),
    run_log.MetricsLog(run.directory, first or None) as log,
    contextlib.closing(
      client_log.ClientLog(run.directory.clients, every_rounds, first or None)
    ) as clients,
    progress.Progress(num_rounds, start=first, console=run.console) as bar,
  ):
    lines = run_log.read_metrics(run.directory.metrics)
    loop = round_loop.RoundLoop(
      round_fn=run.round_fn,
      cfg=run.cfg,
      clients=run.feed.clients,
      frame_buckets=run.feed.layout.frame_buckets,
      memories=begun.memories,
      held_out=run.held_out,
      books=run.books,
      watch=divergence.LossWatch(line.get('train/loss') for line in lines),
      patience=early_stopping.of_run(
        run.directory.metrics, run.cfg.evaluation.patience, first
      ),
      recovery=run.recovery,
      traffic=communication.Traffic(run.sizes, lines),
      checkpoints=run.checkpoints,
      signals=run.signals,
      log=log,
      client_log=clients,
      bar=bar,
    )
    round_loop.run(loop, begun.state, first, cohorts, compile_seconds)
    endings = [run.books.ending(), loop.watch.at_end()]
    if loop.patience.is_over:
      endings.insert(0, f'stopped: {loop.patience.told()}')
    return '; '.join(filter(None, endings))


def _begin(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  data: datasets.Datasets,
  feed: cohort_feed.CohortFeed,
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
  contents[directory.population] = run_population.content(
    data, feed, cfg.features
  )
  contents[directory.alphabet] = run_alphabet.content(data.alphabet)
  directory.begin(first, contents)


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
  scale: optimizers.Scale,
  noise_key: jax.Array,
) -> tuple[rounds.RoundFn, float]:
  """The function for arguments of these shapes, and the seconds it took.

  Ahead of time, so that no round's seconds contain it. Given other shapes the
  function raises: a run cannot compile its round a second time unnoticed.
  """
  started = time.perf_counter()
  jitted = typing.cast(jax.stages.Wrapped, round_fn)
  lowered = jitted.lower(state, members, memories, key, scale, noise_key)
  compiled = lowered.compile()
  return compiled, time.perf_counter() - started
