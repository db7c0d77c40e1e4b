"""Whose update it is, and of whom, without reconstruction."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import rich.console

from fedjax_asr import config, run_directory, streams
from fedjax_asr.audits import (
  feature_blocks,
  linkage,
  update_features,
)
from fedjax_asr.jobs import (
  audited_run,
  preparation,
  speaker_attributes,
  speaker_results,
  speaker_updates,
)

# Speakers of each fold, at least: of one, nobody is an impostor.
_FEWEST_OF_A_FOLD = 2


class _Seen(NamedTuple):
  """Vectors of speakers by what they were made of, and who they are."""

  blocks: Mapping[str, Sequence[feature_blocks.Block]]
  found: list[speaker_updates.Speaker]
  num_not_finite: int


def measured(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> dict[str, Any]:
  """What `audit.json` has of the part; with `missing`, why it has nothing.

  Of the updates, and beside them of moments of the speech behind them: as it is
  (`speech`), and as the model is given it (`inputs`).
  """
  del directory
  own = cfg.audit.speakers
  began = time.monotonic()
  speakers = speaker_updates.speakers(audited, own, cfg.seed)
  reason = speaker_updates.missing(audited) or _too_few(speakers, own)
  if reason:
    console.print(f'speakers: {reason}')
    return {'missing': reason, 'num_left_out': speakers.num_left_out}
  seen = _seen(audited, speakers.found, console)
  fewest = _FEWEST_OF_A_FOLD * own.num_folds
  if len(seen.found) < fewest:
    reason = f'updates of {len(seen.found)} speakers are finite; want {fewest}'
    console.print(f'speakers: {reason}')
    return {'missing': reason, 'num_not_finite': seen.num_not_finite}
  rng = streams.rng(cfg.seed, streams.Stream.SPEAKER_FOLDS)
  fold = linkage.folds(len(seen.found), own.num_folds, rng)
  results = {
    'num_speakers': len(seen.found),
    'num_unseen': sum(not each.was_trained_on for each in seen.found),
    'num_left_out': speakers.num_left_out,
    'num_not_finite': seen.num_not_finite,
    'num_utterances': own.num_utterances,
    'num_folds': own.num_folds,
    'confidence': cfg.audit.confidence,
    'linkage': _linkage(seen, fold, cfg),
    'unseen': _unseen(seen, cfg),
    'attributes': _attributes(audited, seen, fold, cfg),
    'seconds': time.monotonic() - began,
  }
  for line in speaker_results.lines(results):
    console.print(line)
  return results


def _too_few(
  speakers: speaker_updates.Speakers, own: config.AuditSpeakersConfig
) -> str:
  fewest = _FEWEST_OF_A_FOLD * own.num_folds
  if len(speakers.found) >= fewest:
    return ''
  return (
    f'{len(speakers.found)} speakers have twice audit.speakers.num_utterances='
    f'{own.num_utterances}; want {fewest} for num_folds={own.num_folds}'
  )


def _seen(
  audited: audited_run.AuditedRun,
  found: list[speaker_updates.Speaker],
  console: rich.console.Console,
) -> _Seen:
  """Vectors of every half; speakers with an update that is not finite go."""
  described = jax.jit(update_features.of_update)
  vectors: list[list[update_features.UpdateFeatures]] = [[] for _ in found]
  total = speaker_updates.NUM_HALVES * len(found)
  with preparation.reported(console, 'updates of speakers') as report:
    for done, (index, update) in enumerate(
      speaker_updates.updates(audited, found), 1
    ):
      made = described(update.params, update.norm_state)
      vectors[index].append(jax.device_get(made))
      report(done, total)
  kept = [
    index
    for index, halves in enumerate(vectors)
    if all(np.isfinite(block).all() for half in halves for block in half)
  ]
  found_kept = [found[index] for index in kept]
  blocks = {
    'update': [
      np.array([[half[block] for half in vectors[index]] for index in kept])
      for block in range(len(update_features.UpdateFeatures._fields))
    ],
    'inputs': [_of_frames(found_kept, is_raw=False)],
    'speech': [_of_frames(found_kept, is_raw=True)],
  }
  return _Seen(blocks, found_kept, len(found) - len(kept))


def _of_frames(
  found: Sequence[speaker_updates.Speaker], *, is_raw: bool
) -> feature_blocks.Block:
  """Of the same utterances as the updates."""
  rows = []
  for speaker in found:
    read = speaker.examples.raw if is_raw else speaker.examples.features
    moments = update_features.of_speech if is_raw else update_features.of_inputs
    rows.append(
      [
        moments(np.concatenate([read(index) for index in half]))
        for half in speaker.halves
      ]
    )
  return np.array(rows, np.float64)


def _linkage(seen: _Seen, fold, cfg: config.Config) -> dict[str, Any]:
  """By what is looked at and by method."""
  results = {}
  for source, blocks in seen.blocks.items():
    results[source] = {
      'cosine': speaker_results.of_trials(
        linkage.cosine_trials(blocks, fold), cfg
      ),
      'trained': speaker_results.of_trials(
        linkage.trained_trials(blocks, fold), cfg
      ),
    }
  return results


def _unseen(seen: _Seen, cfg: config.Config) -> dict[str, Any]:
  """Speakers that the run never trained on, by what those it did are like."""
  is_unseen = np.array([not each.was_trained_on for each in seen.found])
  count = int(is_unseen.sum())
  if count < _FEWEST_OF_A_FOLD or count == len(is_unseen):
    return {'missing': f'{count} speakers are held out of the run'}
  return {
    source: speaker_results.of_trials(
      linkage.apart_trials(blocks, is_unseen), cfg
    )
    for source, blocks in seen.blocks.items()
  }


def _attributes(
  audited: audited_run.AuditedRun, seen: _Seen, fold, cfg: config.Config
) -> dict[str, Any]:
  sex = speaker_attributes.sex(seen.found)
  rate = speaker_attributes.rate(
    seen.found, audited.saved.config.features.hop_ms
  )
  found = {}
  for name, known, described in (
    ('sex', sex, speaker_results.of_class),
    ('rate', rate, speaker_results.of_number),
  ):
    if known.missing:
      found[name] = {'missing': known.missing}
      continue
    found[name] = {'unit': known.unit} | described(
      seen.blocks, known.values, fold, cfg
    )
  return found
