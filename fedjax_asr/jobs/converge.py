"""Fits single batches to the limit: that loss, gradients and optimizer can
bring the CTC loss to zero.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich.console

from fedjax_asr import (
  config,
  interruption,
  json_file,
  progress,
  run_directory,
  streams,
)
from fedjax_asr.corpora import dataset, utterance
from fedjax_asr.decoding import greedy, scores
from fedjax_asr.federated import cohort
from fedjax_asr.figures import convergence
from fedjax_asr.jobs import batch_fit, disk_errors, preparation
from fedjax_asr.models import model

_FRAME_QUANTUM = 16

# What a batch should reach: loss in nats, its fall, gradient norm.
TARGET_LOSS = 0.0013
TARGET_IMPROVEMENT = 0.9997
TARGET_GRADIENT_NORM = 0.006


class Outcome(NamedTuple):
  """What the iterations of a batch came to.

  loss_iteration: updates after which the loss stays under TARGET_LOSS; None
    if it does not.
  fitting_seconds: of all its iterations, with compiling in the first batch's.
  """

  utterances: list[str]
  seconds: float
  initial_loss: float
  final_loss: float
  improvement: float
  final_loss_per_label: float
  loss_iteration: int | None
  final_gradient_norm: float
  final_output_change: float
  cer: float
  has_converged: bool
  fitting_seconds: float


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Writes `iterations.jsonl`, `convergence.json` and a figure, and shows the
  table.

  Each batch starts from the same fresh parameters, a function of the seed. An
  iteration is one gradient and one update; iteration i is measured after i
  updates.

  Raises:
    UserError: of any room; the corpus has too few utterances.
  """
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    with disk_errors.explained(directory.path):
      table = _table(cfg, directory, console)
    figure = convergence.plot(directory.path)
  _show(table, console)
  console.print(f'table, iterations and figure {figure}')


def _table(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> list[dict[str, Any]]:
  """Outcomes of the batches, written down."""
  data = preparation.prepare(cfg, console)
  acoustic = model.acoustic(cfg.model, cfg.features.num_features, data.alphabet)
  directory.begin()
  preparation.write(data, directory)
  positions = _chosen(data.train, cfg)
  outcomes = _fit_all(cfg, acoustic, data.train, positions, directory)
  table = [outcome._asdict() for outcome in outcomes]
  json_file.write(directory.convergence, table)
  return table


def _chosen(examples: dataset.Dataset, cfg: config.Config) -> np.ndarray:
  """[batches, utterances] of the training set, none of them twice."""
  fit = cfg.converge
  longest = fit.max_seconds * 1000 / cfg.features.hop_ms
  eligible = np.flatnonzero(examples.num_frames <= longest)
  wanted = fit.num_batches * fit.batch_size
  if len(eligible) < wanted:
    raise utterance.CorpusError(
      f'{len(eligible)} utterances are no longer than config.converge.'
      f'max_seconds={fit.max_seconds:g}; want {wanted} for '
      f'{fit.num_batches} batches of {fit.batch_size}.'
    )
  rng = streams.rng(cfg.seed, streams.Stream.CONVERGE_BATCHES)
  chosen = rng.permutation(eligible)[:wanted]
  return chosen.reshape(fit.num_batches, fit.batch_size)


def _fit_all(
  cfg: config.Config,
  acoustic: model.Model,
  examples: dataset.Dataset,
  positions: np.ndarray,
  directory: run_directory.RunDirectory,
) -> list[Outcome]:
  fitting = batch_fit.fitting(acoustic, optimizer(cfg.converge))
  step = jax.jit(fitting.step)
  longest = int(examples.num_frames[positions].max())
  frames = -(-longest // _FRAME_QUANTUM) * _FRAME_QUANTUM
  labels = max(len(examples.labels[index]) for index in positions.flat)
  params, norm_state = acoustic.init(
    streams.key(cfg.seed, streams.Stream.INITIAL_PARAMETERS)
  )
  outcomes = []
  total = len(positions) * (cfg.converge.num_iterations + 1)
  with (
    progress.Progress(total, unit='iteration') as bar,
    directory.iterations.open('w') as log,
  ):
    for index, chosen in enumerate(positions):
      arrays = examples.batch(chosen, frames, labels)
      batch = cohort.Batch(*map(jnp.asarray, arrays))
      fit = fitting.start(params, norm_state, batch)
      records, started = [], time.perf_counter()
      for iteration in range(cfg.converge.num_iterations + 1):
        interruption.check()
        key = streams.key(cfg.seed, streams.Stream.CONVERGE, iteration)
        fit, measured = step(fit, batch, key)
        record = _record(index, iteration, jax.device_get(measured))
        log.write(json.dumps(record) + '\n')
        records.append(record)
        bar.advance(loss=record['loss'])
      seconds = time.perf_counter() - started
      hypotheses = _transcripts(acoustic, fit, batch)
      outcomes.append(
        _outcome(examples, chosen, records, hypotheses, cfg, seconds)
      )
  return outcomes


def optimizer(fit: config.ConvergeConfig) -> optax.GradientTransformation:
  """Adam, with a linear warm-up and then a cosine decay."""
  rate = optax.warmup_cosine_decay_schedule(
    fit.learning_rate / (fit.warmup_iterations + 1),
    fit.learning_rate,
    fit.warmup_iterations,
    fit.num_iterations,
    fit.final_learning_rate_fraction * fit.learning_rate,
  )
  adam = optax.adam(rate, fit.beta1, fit.beta2)
  if not fit.clip_norm:
    return adam
  return optax.chain(optax.clip_by_global_norm(fit.clip_norm), adam)


def _record(
  index: int, iteration: int, measured: batch_fit.Measured
) -> dict[str, Any]:
  values = {name: float(value) for name, value in measured._asdict().items()}
  return {'batch': index, 'iteration': iteration, **values}


def _transcripts(
  acoustic: model.Model, fit: batch_fit.Fit, batch: cohort.Batch
) -> list[str]:
  num_outputs = acoustic.num_output_frames(jnp.asarray(batch.num_frames))
  paths = greedy.path(fit.probabilities, num_outputs)
  return greedy.transcripts(np.asarray(paths), acoustic.alphabet)


def _outcome(
  examples: dataset.Dataset,
  chosen: np.ndarray,
  records: list[dict[str, Any]],
  hypotheses: list[str],
  cfg: config.Config,
  fitting_seconds: float,
) -> Outcome:
  losses = np.array([record['loss'] for record in records])
  # NaN counts as not under the target.
  above = np.flatnonzero(~(losses < TARGET_LOSS))
  reached = int(above[-1]) + 1 if len(above) else 0
  last = records[-1]
  improvement = 1 - last['loss'] / losses[0]
  return Outcome(
    utterances=[examples.ids[index] for index in chosen],
    seconds=float(examples.num_frames[chosen].sum() * cfg.features.hop_ms)
    / 1000,
    initial_loss=float(losses[0]),
    final_loss=last['loss'],
    improvement=float(improvement),
    final_loss_per_label=last['loss_per_label'],
    loss_iteration=reached if reached < len(losses) else None,
    final_gradient_norm=last['gradient_norm'],
    final_output_change=last['output_change'],
    cer=_cer([examples.texts[index] for index in chosen], hypotheses),
    has_converged=bool(
      last['loss'] < TARGET_LOSS
      and improvement >= TARGET_IMPROVEMENT
      and last['gradient_norm'] < TARGET_GRADIENT_NORM
    ),
    fitting_seconds=round(fitting_seconds, 3),
  )


def _cer(references: list[str], hypotheses: list[str]) -> float:
  pairs = zip(references, hypotheses, strict=True)
  return scores.score(
    [
      scores.Transcript('', '', reference, hypothesis)
      for reference, hypothesis in pairs
    ]
  ).cer


def _show(table: list[dict[str, Any]], console: rich.console.Console) -> None:
  console.print(
    'batch  utterances  seconds  loss at 0  final     improved   under '
    f'{TARGET_LOSS} at  gradient norm  CER'
  )
  for line in _lines(table):
    console.print(line)


def _lines(table: list[dict[str, Any]]) -> Iterator[str]:
  for index, row in enumerate(table):
    reached = row['loss_iteration']
    yield (
      f'{index:<6} {len(row["utterances"]):<11} {row["seconds"]:<8.1f} '
      f'{row["initial_loss"]:<10.2f} {row["final_loss"]:<9.6f} '
      f'{row["improvement"]:<10.4%} '
      f'{"never" if reached is None else reached!s:<15} '
      f'{row["final_gradient_norm"]:<14.5f} {row["cer"]:.1%}'
      f'{"" if row["has_converged"] else "   not converged"}'
    )
