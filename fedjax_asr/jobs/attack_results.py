"""What an attack leaves on disk: scores, features, sound, figures."""

import contextlib
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from fedjax_asr import config, run_directory
from fedjax_asr.attacks import alignment, labels, observation, score
from fedjax_asr.jobs import attack_methods, attack_victims
from fedjax_asr.models import scores
from fedjax_asr.speech import inversion

FILE = 'attack.json'
FEATURES = 'reconstructions.h5'

Record = dict[str, Any]


def read(path: pathlib.Path) -> list[Record]:
  """Records of victims that an earlier start had finished."""
  file = path / FILE
  return run_directory.read_json(file) if file.is_file() else []


def write(path: pathlib.Path, records: Sequence[Record]) -> None:
  """Replaces `attack.json`."""
  content = json.dumps(list(records), indent=1) + '\n'
  run_directory.replace_text(path / FILE, content)


def records(
  victim: attack_victims.Victim,
  observed: observation.Observation,
  attempts: Sequence[attack_methods.Attempt],
) -> list[Record]:
  """One for each utterance and method, as JSON takes it."""
  told = _labels(victim, observed)
  made = []
  for attempt in attempts:
    found = attempt.found.features if attempt.found else ()
    truths = [attack_victims.truth(item) for item in victim.spoken]
    pairs = score.paired(truths, found)
    texts = _texts(pairs, observed, attempt)
    for item, truth, values, heard in zip(
      victim.spoken, truths, pairs, texts, strict=True
    ):
      made.append(
        _record(victim, item, attempt)
        | score.score(truth, values, observed.features)._asdict()
        | _errors(item, heard)
        | {'labels': told}
      )
  return made


def _record(victim, item, attempt) -> Record:
  found = attempt.found
  return {
    'victim': victim.name,
    'utterance': item.utterance,
    'speaker': item.speaker,
    'method': attempt.method.value,
    'ledger': found.ledger._asdict() if found else {},
    'certificate': found.certificate if found else {},
    'is_certified': bool(found and found.is_certified),
    'refused': attempt.refused,
    'seconds': attempt.seconds,
  }


def _labels(victim, observed) -> Record:
  """What the output layer alone says of the transcripts, and how right."""
  estimated = labels.estimate(observed)
  compared = labels.compare(estimated, [item.labels for item in victim.spoken])
  return {
    'certain': estimated.certain,
    'characters': estimated.characters,
    'num_labels': estimated.num_labels,
    **compared._asdict(),
  }


def _texts(pairs, observed, attempt) -> list[Record]:
  """What the victim's model hears, and what its update says it was told."""
  heard = labels.decoded(pairs, observed)
  told: Sequence[str | None] = [None] * len(pairs)
  if attempt.found and all(len(values) for values in pairs):
    with contextlib.suppress(observation.Refused):
      told = alignment.align(pairs, observed).texts
  return [
    {'heard': each, 'aligned': line}
    for each, line in zip(heard, told, strict=True)
  ]


def _errors(item, texts: Record) -> Record:
  rates: Record = {}
  for name, prefix in (('heard', ''), ('aligned', 'aligned_')):
    hypothesis = texts[name]
    result = None
    if hypothesis is not None:
      result = scores.score(
        [scores.Transcript(item.utterance, '', item.text, hypothesis)]
      )
    rates[f'{prefix}cer'] = None if result is None else result.cer
    rates[f'{prefix}wer'] = None if result is None else result.wer
  return {'reference': item.text} | texts | rates


def keep(
  path: pathlib.Path,
  victim: attack_victims.Victim,
  attempts: Sequence[attack_methods.Attempt],
  cfg: config.FeaturesConfig,
) -> None:
  """Features in `reconstructions.h5`, and WAV files of them."""
  truths = [attack_victims.truth(item) for item in victim.spoken]
  kept = {item.utterance: {'original': item.features} for item in victim.spoken}
  for attempt in attempts:
    if attempt.found is None:
      continue
    pairs = score.paired(truths, attempt.found.features)
    for item, values in zip(victim.spoken, pairs, strict=True):
      if len(values):
        kept[item.utterance][attempt.method.value] = values
  with h5py.File(path / FEATURES, 'a') as file:
    for utterance, arrays in kept.items():
      name = utterance.replace('/', '_')
      if name in file:
        del file[name]
      for method, values in arrays.items():
        file.create_dataset(f'{name}/{method}', data=np.asarray(values))
  if cfg.kind is not config.FeatureKind.PRECOMPUTED:
    for item in victim.spoken:
      _sound(path / 'audio', item, kept[item.utterance], cfg)


def _sound(folder, item, arrays, cfg) -> None:
  """Both by the same inverse transform and the victim's own statistics, so
  that what is heard is the difference in features."""
  folder.mkdir(exist_ok=True)
  name = re.sub(r'[^\w.-]', '_', item.utterance)
  for method, values in arrays.items():
    samples = inversion.waveform(values, cfg, item.statistics)
    inversion.write(folder / f'{name}_{method}.wav', samples, cfg.sample_rate)
