"""Whether sentences that were planted can be had of the model again."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich.console

from fedjax_asr import config, run_files, streams
from fedjax_asr.audits import exposure, trainings
from fedjax_asr.corpora import dataset
from fedjax_asr.decoding import language_model, text_decoder
from fedjax_asr.federated import server
from fedjax_asr.jobs import audited_run, preparation

# Of a sentence that was not trained on: the mean of -log2 of a uniform number.
_EXPECTED_BITS = float(np.log2(np.e))
# The models that are trained: with what is planted, and without.
_MODELS = ('planted', 'without')


class _Read(NamedTuple):
  """What decoders make of every planted utterance.

  beam_missing: why there is no beam search; then `beam` is empty.
  """

  greedy: list[str]
  beam: list[str]
  beam_missing: str


def measured(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  directory: run_files.RunFiles,
  console: rich.console.Console,
) -> dict[str, Any]:
  """Of `audit.json`.

  The training goes on from the audited round twice at once, with what is
  planted and without it, and everything else the same: what the second model
  thinks of the sentences is what the first would without having seen them.

  Raises:
    ConfigError: the corpus has too little speech for so many sentences.
    TrainingError: a training went wrong.
  """
  del directory
  own = cfg.audit.exposure
  planted = exposure.chosen(
    audited.clients,
    audited.examples,
    audited.saved.acoustic.num_output_frames,
    own,
    streams.rng(cfg.seed, streams.Stream.PLANTED),
  )
  clients, examples = exposure.with_planted(
    audited.clients, audited.examples, planted
  )
  try:
    repeated = trainings.Trainings(
      audited.saved.acoustic,
      _settings(audited, own),
      audited.saved.config.augment,
      clients,
      examples,
      cfg.seed,
    )
  except trainings.TrainingError as error:
    return {'missing': str(error)}
  started = time.perf_counter()
  values = _trained(audited, cfg, repeated, len(planted), examples, console)
  trained = time.perf_counter()
  found = _exposures(audited, cfg, values, examples, planted, console)
  read = _read(audited, values, examples, len(planted))
  used = repeated.times_used(own.num_rounds)[-len(planted) :]
  rows = [
    _row(audited, examples, index, each, found[index], read, int(used[index]))
    for index, each in enumerate(planted)
  ]
  record = {
    'num_rounds': own.num_rounds,
    'num_candidates': own.num_candidates,
    'most_bits': float(np.log2(own.num_candidates + 1)),
    'expected_bits_unplanted': _EXPECTED_BITS,
    'beam_missing': read.beam_missing or None,
    'by_repeats': _by_repeats(rows),
    'sentences': rows,
    'seconds': {
      'training': trained - started,
      'ranking': time.perf_counter() - trained,
    },
  }
  for line in _lines(record):
    console.print(line)
  return record


def _settings(
  audited: audited_run.AuditedRun, own: config.ExposureConfig
) -> config.FederatedConfig:
  """The run's, of so many rounds; it is warm already."""
  return dataclasses.replace(
    audited.settings,
    num_rounds=own.num_rounds,
    server=dataclasses.replace(audited.settings.server, warmup_rounds=0),
  )


def _trained(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  repeated: trainings.Trainings,
  num_planted: int,
  examples: dataset.Dataset,
  console: rich.console.Console,
) -> server.Values:
  """Both models, in the order of `_MODELS`; one randomness for both."""
  saved, own = audited.saved, cfg.audit.exposure
  fresh = server.initial_state(
    saved.acoustic,
    _settings(audited, own),
    streams.key(cfg.seed, streams.Stream.INITIAL_PARAMETERS),
    len(audited.clients),
  )
  start = fresh._replace(params=saved.params, norm_state=saved.norm_state)
  is_in = np.ones((len(_MODELS), len(examples)), bool)
  is_in[1, -num_planted:] = False

  def twice(stream):
    return jnp.repeat(streams.key(cfg.seed, stream)[None], len(_MODELS), 0)

  with preparation.reported(console, 'training with what is planted') as report:
    return repeated.train(
      start,
      is_in,
      trainings.Randomness(
        twice(streams.Stream.EXPOSURE), twice(streams.Stream.EXPOSURE_NOISE)
      ),
      own.num_rounds,
      0,
      report,
    )


def _exposures(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  values: server.Values,
  examples: dataset.Dataset,
  planted: Sequence[exposure.Planted],
  console: rich.console.Console,
) -> list[dict[str, exposure.Exposure]]:
  """Of each sentence, by model."""
  own = cfg.audit.exposure
  symbols = exposure.symbols(audited.examples)
  losses = exposure.make_losses(audited.saved.acoustic)
  features, num_frames, _, _ = _batch(examples, len(planted))
  found = []
  with preparation.reported(console, 'ranking sentences') as report:
    for index, each in enumerate(planted):
      report(index, len(planted))
      rng = streams.rng(cfg.seed, streams.Stream.PLANTED_CANDIDATES, index)
      others = exposure.sentences(
        symbols, own.num_symbols, own.num_candidates, rng
      )
      asked = np.concatenate([each.labels[None], others])
      of_models = {}
      for place, name in enumerate(_MODELS):
        one = jax.tree.map(lambda leaf, place=place: leaf[place], values)
        nats = np.asarray(
          losses(*one, features[index], num_frames[index], asked)
        )
        of_models[name] = exposure.exposure(float(nats[0]), nats[1:])
      found.append(of_models)
  return found


def _batch(examples: dataset.Dataset, num_planted: int):
  """Speech of all that is planted."""
  positions = np.arange(len(examples) - num_planted, len(examples))
  return examples.batch(
    positions,
    int(examples.num_frames[positions].max()),
    max(len(examples.labels[index]) for index in positions),
  )


def _read(
  audited: audited_run.AuditedRun,
  values: server.Values,
  examples: dataset.Dataset,
  num_planted: int,
) -> _Read:
  """By the model that they were planted in."""
  acoustic = audited.saved.acoustic
  features, num_frames, _, _ = _batch(examples, num_planted)
  one = jax.tree.map(lambda leaf: leaf[0], values)
  logits, num_outputs, _ = jax.jit(
    lambda *of: acoustic.apply(*of, train=False)
  )(one.params, one.norm_state, features, num_frames)
  logits, num_outputs = np.asarray(logits), np.asarray(num_outputs)

  def texts(method):
    decode = config.DecodeConfig(method=method)
    decoder = text_decoder.chosen(decode, acoustic.alphabet)
    return decoder(logits, num_outputs)

  greedy = texts(config.Decoder.GREEDY)
  try:
    return _Read(greedy, texts(config.Decoder.BEAM), '')
  except language_model.DecodeError as error:
    return _Read(greedy, [], str(error))


def _row(
  audited: audited_run.AuditedRun,
  examples: dataset.Dataset,
  index: int,
  each: exposure.Planted,
  found: Mapping[str, exposure.Exposure],
  read: _Read,
  times_trained: int,
) -> dict[str, Any]:
  """Of one sentence.

  times_trained: in local steps of all rounds; 0 where its client was never
  drawn.
  """
  text = examples.texts[len(audited.examples) + index]
  return {
    'client': audited.clients[each.client].name,
    'utterance': audited.examples.ids[each.position],
    'said': audited.examples.texts[each.position],
    'planted': text,
    'repeats': each.repeats,
    'times_trained': times_trained,
    'exposure': {name: value._asdict() for name, value in found.items()},
    'greedy': read.greedy[index],
    'is_read_greedily': read.greedy[index] == text,
    'beam': read.beam[index] if read.beam else None,
    'is_read_by_beam': read.beam[index] == text if read.beam else None,
  }


def _by_repeats(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """Means over the sentences that were trained on at all."""
  found = []
  for repeats in sorted({row['repeats'] for row in rows}):
    own = [row for row in rows if row['repeats'] == repeats]
    trained = [row for row in own if row['times_trained']]
    bits = {
      name: [row['exposure'][name]['bits'] for row in trained]
      for name in _MODELS
    }
    found.append(
      {
        'repeats': repeats,
        'num_sentences': len(own),
        'num_trained': len(trained),
        'mean_bits': _mean(bits['planted']),
        'mean_bits_without': _mean(bits['without']),
        'num_read_greedily': sum(row['is_read_greedily'] for row in trained),
        'num_read_by_beam': None
        if any(row['is_read_by_beam'] is None for row in trained)
        else sum(row['is_read_by_beam'] for row in trained),
      }
    )
  return found


def _mean(values: Sequence[float]) -> float | None:
  return float(np.mean(values)) if values else None


def _lines(record: Mapping[str, Any]) -> list[str]:
  """For a terminal."""
  told = []
  for each in record['by_repeats']:
    if not each['num_trained']:
      told.append(
        f'exposure, {each["repeats"]} times: not measured: none of the '
        'clients that hold them was drawn'
      )
      continue
    told.append(
      f'exposure of {each["num_trained"]} sentences, {each["repeats"]} times: '
      f'{each["mean_bits"]:.2f} bits of {record["most_bits"]:.2f}, and '
      f'{each["mean_bits_without"]:.2f} where they were not planted; '
      f'{each["num_read_greedily"]} read greedily'
    )
  return told
