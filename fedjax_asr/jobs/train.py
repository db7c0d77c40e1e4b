"""Trains a recogniser by simulated federated learning."""

import json
import pathlib
import time
from typing import NamedTuple

import jax
import numpy as np
import rich.console

from fedjax_asr import checkpoint, config, progress, run_directory, run_log
from fedjax_asr.corpora import audit, datasets
from fedjax_asr.federated import cohort, devices, partition
from fedjax_asr.federated import round as round_lib
from fedjax_asr.figures import training
from fedjax_asr.models import evaluation, model


class _Cohorts:
  """Cohort of each round, on the devices: a function of (seed, round)."""

  def __init__(self, cfg, examples, device_list):
    self._cfg, self._examples, self._devices = cfg, examples, device_list
    self.clients = partition.partition(
      examples.speakers, cfg.federated, cfg.seed
    )
    self.layout = cohort.plan(
      self.clients, examples, cfg.federated, cfg.seed, len(device_list)
    )

  def __call__(self, round_index: int) -> tuple[cohort.Cohort, float]:
    """The cohort and its padding waste."""
    cfg = self._cfg
    drawn = cohort.draw(
      self.clients,
      self._examples.num_frames,
      cfg.federated,
      cfg.seed,
      round_index,
    )
    members = cohort.assemble(drawn, self._examples, self.layout)
    waste = cohort.padding_waste(members, self.layout)
    return devices.spread(members, self._devices), waste


class _Evaluators(NamedTuple):
  """One for each held-out set; a set may be empty."""

  speakers: evaluation.Evaluator
  utterances: evaluation.Evaluator


def run(
  cfg: config.Config,
  workdir: str | pathlib.Path,
  *,
  allow_config_change: bool = False,
) -> None:
  """Trains to the end, from the last checkpoint if there is one.

  Raises:
    config.UserError: of any room; what was written stays usable.
  """
  console = rich.console.Console()
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    checkpoints = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
    if (checkpoints.latest_round or 0) >= cfg.federated.num_rounds:
      console.print(
        f'{directory.path}: finished after round {checkpoints.latest_round}; '
        'nothing to do.',
        soft_wrap=True,
      )
      return
    try:
      _Training(cfg, directory, checkpoints, console).run()
    finally:
      checkpoints.close()
    figure = training.plot(directory.path)
    console.print(
      f'finished: metrics, checkpoints and transcripts in {directory.path}, '
      f'first figure {figure}',
      soft_wrap=True,
    )


class _Training:
  """One run, from its last checkpoint to its last round."""

  def __init__(self, cfg, directory, checkpoints, console):
    self._cfg = cfg
    self._directory = directory
    self._checkpoints = checkpoints
    self._console = console
    self._model = model.deepspeech2(cfg.model, cfg.features.num_features)
    self._devices = devices.select(cfg.federated)
    self._data = self._prepared()
    self._cohorts = _Cohorts(cfg, self._data.train, self._devices)
    self._evaluators = _Evaluators(
      evaluation.Evaluator(
        self._model, self._data.heldout_speakers, cfg.evaluation
      ),
      evaluation.Evaluator(
        self._model, self._data.heldout_utterances, cfg.evaluation
      ),
    )

  def run(self) -> None:
    """Runs every round that is left."""
    state, first = self._starting_point()
    self._describe(state, first)
    rounds = self._cfg.federated.num_rounds
    key = jax.random.key(self._cfg.seed)
    round_fn = round_lib.make_round(
      self._model,
      self._cfg.federated,
      self._cfg.augment,
      self._cohorts.layout.frame_buckets,
      self._devices,
    )
    with (
      run_log.MetricsLog(self._directory, first or None) as log,
      progress.Progress(rounds, start=first, console=self._console) as bar,
    ):
      members, waste = self._cohorts(first)
      clock = time.perf_counter()
      for index in range(first, rounds):
        state, metrics = round_fn(state, members, key)
        record = {'padding_waste': waste}
        if index + 1 < rounds:
          # While the devices work; the fetch of the metrics waits for them.
          members, waste = self._cohorts(index + 1)
        record |= self._round_record(jax.device_get(metrics), clock)
        record |= self._evaluated(state, index + 1, bar)
        log.write(index + 1, record)
        self._save(state, index + 1, record.get('eval/wer'))
        bar.advance(
          loss=record['train/loss'],
          wer=record.get('eval/wer'),
          clients_per_second=record['clients_per_second'],
          audio_hours_per_second=record['audio_hours_per_second'],
        )
        clock = time.perf_counter()

  def _prepared(self) -> datasets.Datasets:
    cfg = self._cfg
    with self._console.status('features') as status:
      data = datasets.prepare(
        cfg.data,
        cfg.features,
        self._model.num_output_frames,
        cfg.seed,
        lambda done, total: status.update(f'features {done}/{total}'),
      )
    audit.write(data.problems, self._directory.skipped)
    if data.statistics is not None:
      values = {
        name: value.tolist()
        for name, value in data.statistics._asdict().items()
      }
      run_directory.replace_text(
        self._directory.path / 'feature_statistics.json', json.dumps(values)
      )
    return data

  def _starting_point(self) -> tuple[round_lib.ServerState, int]:
    """Server state and number of rounds behind it."""
    key = jax.random.fold_in(jax.random.key(self._cfg.seed), 2**31)
    state = round_lib.initial_state(self._model, self._cfg.federated, key)
    state = devices.replicate(state, self._devices)
    latest = self._checkpoints.latest_round
    if latest is None:
      return state, 0
    return self._checkpoints.restore(latest, state), latest

  def _describe(self, state: round_lib.ServerState, first: int) -> None:
    """What is about to run, in a few lines."""
    data, layout = self._data, self._cohorts.layout
    hours = _hours(data.train.num_frames.sum(), self._cfg.features)
    skipped = sum(not each.is_warning for each in data.problems)
    buckets = '/'.join(map(str, layout.frame_buckets))
    lines = [
      f'{self._cfg.name}: {model.num_parameters(state.params):,} parameters '
      f'on {len(self._devices)} {self._devices[0].device_kind} device(s), '
      f'from round {first} of {self._cfg.federated.num_rounds}',
      f'{len(data.train)} training utterances ({hours:.2f} h) of '
      f'{len(self._cohorts.clients)} clients; held out: '
      f'{len(data.heldout_speakers)} of '
      f'{len(set(data.heldout_speakers.speakers))} other speakers, {len(data.heldout_utterances)} of training speakers',
      f'{skipped} bad utterances and {data.num_dropped_transcripts} with a '
      f'held-out transcript left out; see {self._directory.skipped.name}',
      f'cohort {self._cfg.federated.cohort_size}: {layout.num_blocks} block(s) '
      f'of {layout.block_size} per device, {layout.num_steps} steps of '
      f'{layout.batch_size} utterances at {buckets} frames; compiling',
    ]
    for line in lines:
      self._console.print(line, highlight=False, soft_wrap=True)

  def _round_record(self, metrics: round_lib.RoundMetrics, clock: float):
    """Metrics of a round by name; `clock` is when it began."""
    seconds = time.perf_counter() - clock
    hours = _hours(metrics.num_frames, self._cfg.features)
    return {
      'train/loss': float(metrics.loss),
      'train/gradient_norm': float(metrics.gradient_norm),
      'train/delta_norm': float(metrics.delta_norm),
      'train/num_utterances': int(metrics.num_utterances),
      'train/num_infeasible': int(metrics.num_infeasible),
      'learning_rate': float(metrics.client_learning_rate),
      'round_seconds': seconds,
      'clients_per_second': float(metrics.num_clients) / seconds,
      'audio_hours_per_second': hours / seconds,
    }

  def _evaluated(self, state, num_rounds: int, bar) -> dict[str, float]:
    """Held-out scores by name; empty when the round is not due."""
    cfg = self._cfg.evaluation
    is_last = num_rounds == self._cfg.federated.num_rounds
    if num_rounds % cfg.every_rounds and not is_last:
      return {}
    speakers, utterances = (
      evaluate(state.params, state.norm_state) for evaluate in self._evaluators
    )
    record = {}
    if utterances:
      record['eval/utterance_wer'] = utterances.total.wer
      record['eval/utterance_cer'] = utterances.total.cer
    main = speakers or utterances
    if main:
      record['eval/wer'] = main.total.wer
      record['eval/cer'] = main.total.cer
      record['eval/loss'] = main.loss
      self._report(main, num_rounds, bar)
    return record

  def _report(self, result: evaluation.Evaluation, num_rounds: int, bar):
    """Writes transcripts and speakers' scores; prints a few examples."""
    scores = {
      name: score._asdict() for name, score in result.by_speaker.items()
    }
    contents = {'round': num_rounds, 'speakers': scores}
    run_directory.replace_text(
      self._directory.path / 'speakers.json', json.dumps(contents, indent=2)
    )
    transcripts = [item._asdict() for item in result.transcripts]
    run_directory.replace_text(
      self._directory.path / 'transcripts.json',
      json.dumps({'round': num_rounds, 'transcripts': transcripts}, indent=2),
    )
    count = min(self._cfg.evaluation.num_examples, len(result.transcripts))
    places = np.linspace(0, len(result.transcripts) - 1, count + 2).astype(int)
    bar.print(
      f'after round {num_rounds}: WER {result.total.wer:.1%}, '
      f'CER {result.total.cer:.1%}'
    )
    for place in places[1:-1]:
      item = result.transcripts[place]
      bar.print(f'  said  {item.reference}\n  heard {item.hypothesis}')

  def _save(self, state, num_rounds: int, wer: float | None) -> None:
    is_last = num_rounds == self._cfg.federated.num_rounds
    if is_last or num_rounds % self._cfg.checkpoint.every_rounds == 0:
      self._checkpoints.save(num_rounds, state, wer, force=True)


def _hours(num_frames: float, features: config.FeaturesConfig) -> float:
  return float(num_frames) * features.hop_ms / 3_600_000
