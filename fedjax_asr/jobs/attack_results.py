"""What an attack leaves on disk: scores, features, sound, figures."""

import contextlib
import json
import math
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from fedjax_asr import config, json_file, run_error, run_files, whole_file
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.measure import (
  alignment,
  determined,
  labels,
  score,
  score_summary,
)
from fedjax_asr.decoding import scores
from fedjax_asr.jobs import (
  attack_methods,
  attack_sound,
  attack_transcriber,
  attack_victims,
)
from fedjax_asr.speech import features as features_lib

# Of HDF5 files: some file systems have no locks.
LOCKING = 'best-effort'

Record = dict[str, Any]
# Of what records of earlier versions do not say.
_UNSAID: Record = {'is_whole': False, 'determined_snr_db': None}


def resumed(files: run_files.RunFiles, round_index: int) -> list[Record]:
  """Records of victims that an earlier start had finished.

  Raises:
    RunError: they are damaged, of another round, or without their features.
  """
  file = files.attack
  if not file.is_file():
    # Features that nothing scores yet, perhaps half of them.
    files.reconstructions.unlink(missing_ok=True)
    return []
  found = json_file.read(file)
  try:
    rounds = {record['round'] for record in found}
    utterances = {record['utterance'] for record in found}
    _ = [record['victim'] for record in found]
    found = [_UNSAID | score_summary.read(record) for record in found]
  except (KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{file}: {error!r}; want the scores of an attack, or the file removed.'
    ) from error
  if rounds - {round_index}:
    raise run_error.RunError(
      f'{file} is of round {min(rounds - {round_index})}, the run is at '
      f'round {round_index} now; want another --workdir.'
    )
  _check_features(files, utterances)
  return found


def _check_features(files: run_files.RunFiles, utterances: set[str]) -> None:
  file, scored = files.reconstructions, files.attack.name
  reason = f'not all utterances that {scored} scores'
  try:
    with h5py.File(file, locking=LOCKING) as features:
      if all(utterance in features for utterance in utterances):
        return
  except OSError as error:
    reason = str(error)
  raise run_error.RunError(
    f'{file}: {reason}; want it as it was, or {scored} removed too.'
  )


def write(files: run_files.RunFiles, records: Sequence[Record]) -> None:
  """Replaces `attack.json`."""
  content = json.dumps(list(records), indent=1) + '\n'
  whole_file.replace_text(files.attack, content)


def records(
  victim: attack_victims.Victim,
  observed: observation.Observation,
  attempts: Sequence[attack_methods.Attempt],
  transcriber: attack_transcriber.Transcriber | None,
  public: features_lib.Statistics | None = None,
) -> list[Record]:
  """One for each utterance and method, as JSON takes it.

  What is `heard` is null without a `transcriber`, or where that would take
  statistics of the victim's that are not `public`.
  """
  told, label_layers = _labels(victim, observed)
  made = []
  for attempt in attempts:
    found = attempt.found.features if attempt.found else ()
    truths = [attack_victims.truth(item) for item in victim.spoken]
    pairs = score.paired(truths, found)
    aligned = _aligned(pairs, observed, attempt)
    layers = label_layers | (set(aligned.layers) if aligned else set())
    ledger = _ledger(observed, attempt, layers)
    texts = _texts(victim, pairs, aligned, transcriber, public)
    for item, truth, values, heard in zip(
      victim.spoken, truths, pairs, texts, strict=True
    ):
      made.append(
        _record(victim, item, attempt, observed.round, is_found=len(values) > 0)
        | {'ledger': ledger}
        | score.score(truth, values, observed.features)._asdict()
        | {'determined_snr_db': _determined(truth, attempt.found)}
        | _of_public_speech(truth, observed)
        | _errors(item, heard, observed.acoustic.alphabet.has_words)
        | {'labels': told}
      )
  return made


def _record(
  victim: attack_victims.Victim,
  item: attack_victims.Spoken,
  attempt: attack_methods.Attempt,
  round_index: int,
  *,
  is_found: bool,
) -> Record:
  found = attempt.found
  certificate = found.certificate if found else {}
  return {
    'victim': victim.name,
    'utterance': item.utterance,
    'speaker': item.speaker,
    'round': round_index,
    'method': attempt.method.value,
    # JSON has no infinity, such as the ratio to an error of zero.
    'certificate': {
      name: value if math.isfinite(value) else None
      for name, value in certificate.items()
    },
    # Of a batch, a method may have found some and not others.
    'is_certified': bool(found and found.is_certified and is_found),
    'is_whole': bool(found and found.is_whole),
    'undetermined': [list(each) for each in found.undetermined]
    if found
    else [],
    'refused': attempt.refused,
    'seconds': attempt.seconds,
  }


def _determined(
  truth: score.Truth, found: observation.Reconstruction | None
) -> float | None:
  """Of what the update determines, by the reconstruction that fits best."""
  if found is None:
    return None
  stretches = found.undetermined or ((),) * len(found.features)
  values = [
    determined.snr_db(truth.features, features, unclear)
    for features, unclear in zip(found.features, stretches, strict=True)
    if np.isfinite(features).all()
  ]
  return max((value for value in values if value is not None), default=None)


def _of_public_speech(
  truth: score.Truth, observed: observation.Observation
) -> Record:
  """What a guess scores that takes every frame for the mean of public speech.

  A reconstruction that is no better has found nothing. None where nothing is
  declared of public speech.
  """
  speech = observed.declared.speech
  if speech is None:
    return {'public_snr_db': None, 'public_mcd_db': None}
  guess = np.broadcast_to(speech.mean, truth.features.shape)
  scored = score.score(truth, guess, observed.features)
  return {'public_snr_db': scored.snr_db, 'public_mcd_db': scored.mcd_db}


def _ledger(
  observed: observation.Observation,
  attempt: attack_methods.Attempt,
  label_layers: set[str],
) -> Record:
  """Of what was refused, the observation's alone."""
  found = attempt.found
  ledger = found.ledger if found else observation.ledger(observed)
  return ledger._replace(label_layers=tuple(sorted(label_layers)))._asdict()


def _labels(
  victim: attack_victims.Victim, observed: observation.Observation
) -> tuple[Record, set[str]]:
  """What the output layer alone says of the transcripts, and how right.

  And the layers that say so. Empty where its update is withheld or zero, as
  compression may leave it.
  """
  try:
    estimated = labels.estimate(observed)
  except observation.Refused:
    return {}, set()
  alphabet = observed.acoustic.alphabet
  spoken = [item.labels for item in victim.spoken]
  compared = labels.compare(estimated, spoken, alphabet)
  record = {
    'certain': alphabet.listed(estimated.certain),
    'characters': alphabet.listed(estimated.characters),
    'num_labels': estimated.num_labels,
    **compared._asdict(),
  }
  return record, set(estimated.layers)


def _aligned(
  pairs: Sequence[np.ndarray],
  observed: observation.Observation,
  attempt: attack_methods.Attempt,
) -> alignment.Alignment | None:
  """None where a reconstruction is missing or does not do."""
  if attempt.found and all(len(values) for values in pairs):
    with contextlib.suppress(observation.Refused):
      return alignment.align(pairs, observed)
  return None


def _texts(
  victim: attack_victims.Victim,
  pairs: Sequence[np.ndarray],
  aligned: alignment.Alignment | None,
  transcriber: attack_transcriber.Transcriber | None,
  public: features_lib.Statistics | None,
) -> list[Record]:
  """What is heard in each reconstruction and in its original, and what the
  update says that the model was told.

  `heard_statistics`: by which normalisation was undone for the transcriber.
  """
  told = aligned.texts if aligned else [None] * len(pairs)
  texts = []
  for item, values, line in zip(victim.spoken, pairs, told, strict=True):
    heard = original = undone = None
    if transcriber is not None:
      undone = 'public' if transcriber.takes_statistics else 'none'
      if undone == 'none' or public is not None:
        heard = transcriber(values, public)
      original = transcriber(item.features, item.statistics)
    texts.append(
      {
        'heard': heard,
        'heard_statistics': undone,
        'original_heard': original,
        'aligned': line,
      }
    )
  return texts


def _errors(
  item: attack_victims.Spoken, texts: Record, has_words: bool
) -> Record:
  rates: Record = {}
  for name, prefix in (
    ('heard', ''),
    ('original_heard', 'original_'),
    ('aligned', 'aligned_'),
  ):
    hypothesis = texts[name]
    result = None
    if hypothesis is not None:
      result = scores.score(
        [scores.Transcript(item.utterance, '', item.text, hypothesis)],
        has_words,
      )
    rates[f'{prefix}cer'] = None if result is None else result.cer
    rates[f'{prefix}wer'] = None if result is None else result.wer
  return {'reference': item.text} | texts | rates


def keep(
  files: run_files.RunFiles,
  victim: attack_victims.Victim,
  attempts: Sequence[attack_methods.Attempt],
  cfg: config.FeaturesConfig,
  public: features_lib.Statistics | None = None,
  *,
  is_audible: bool,
) -> None:
  """Features in `reconstructions.h5`; where it `is_audible`, WAV files of
  utterances of which there is a reconstruction to listen to."""
  truths = [attack_victims.truth(item) for item in victim.spoken]
  kept = {
    item.utterance: {attack_sound.ORIGINAL: item.features}
    for item in victim.spoken
  }
  for attempt in attempts:
    if attempt.found is None:
      continue
    pairs = score.paired(truths, attempt.found.features)
    for item, values in zip(victim.spoken, pairs, strict=True):
      if len(values):
        kept[item.utterance][attempt.method.value] = values
  with h5py.File(files.reconstructions, 'a', locking=LOCKING) as file:
    for utterance, arrays in kept.items():
      if utterance in file:
        del file[utterance]
      for method, values in arrays.items():
        file.create_dataset(f'{utterance}/{method}', data=np.asarray(values))
  if is_audible and cfg.kind is not config.FeatureKind.PRECOMPUTED:
    for item in victim.spoken:
      if len(kept[item.utterance]) > 1:
        arrays = kept[item.utterance]
        attack_sound.write(files, item, arrays, cfg, public)
