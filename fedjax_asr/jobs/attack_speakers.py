"""Whether the speakers behind the victims can be told from what was found."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import rich.console

from fedjax_asr import (
  config,
  interruption,
  progress,
  run_files,
  streams,
  whole_file,
)
from fedjax_asr.attacks.measure import speaker_id
from fedjax_asr.jobs import attack_results, attack_victims, attacked_run


def identify(
  attack: config.AttackConfig,
  files: run_files.RunFiles,
  attacked: attacked_run.AttackedRun,
  victims: list[attack_victims.Victim],
  methods: Sequence[str],
  console: rich.console.Console,
) -> None:
  """Leaves `speakers.json`: ranks on originals (the ceiling) and by method.

  The network learns from speakers who are no victims; victims are sought among
  all victims' speakers, enrolled with other utterances of theirs. Where a
  method found nothing, it counts as wrong; `methods`: those that were tried.

  Raises:
    UserError: too few speakers, or a victim without other utterances.
  """
  spoken = [item for victim in victims for item in victim.spoken]
  enrolled = _enrolled(attacked, spoken, attack.speaker_id)
  others = [
    speaker_id.Utterance(speaker, attacked.examples.features(index))
    for index, speaker in enumerate(attacked.examples.speakers)
    if speaker not in enrolled
  ]
  key = streams.key(attacked.saved.config.seed, streams.Stream.SPEAKER_ID)
  with progress.Counted(console, 'speakers') as bar:

    def told(done: int, total: int, line: str) -> None:
      interruption.check()
      bar.report(done, total)
      bar.tell(line)

    identifier = speaker_id.train(others, attack.speaker_id, key, told)
  report: dict[str, Any] = {'training_accuracy': identifier.accuracy}
  for method in ['original', *dict.fromkeys(methods)]:
    interruption.check()
    probes = [_probe(files.reconstructions, item, method) for item in spoken]
    found = speaker_id.identify(identifier, enrolled, probes)
    report[method] = found._asdict()
    console.print(
      f'speaker by {method}: top-1 {found.top1:.0%}, top-5 {found.top5:.0%}, '
      f'MRR {found.mrr:.2f} of {found.num_candidates}'
    )
  content = json.dumps(report, indent=1) + '\n'
  whole_file.replace_text(files.speakers, content)


def _enrolled(
  attacked: attacked_run.AttackedRun,
  spoken: Sequence[attack_victims.Spoken],
  cfg: config.SpeakerIdConfig,
) -> dict[str, list[np.ndarray]]:
  """Other utterances of each victim's speaker."""
  examples = attacked.examples
  used = {item.utterance for item in spoken}
  enrolled = {}
  for speaker in sorted({item.speaker for item in spoken}):
    own = [
      examples.features(index)
      for index, name in enumerate(examples.speakers)
      if name == speaker and examples.ids[index] not in used
    ]
    if not own:
      raise speaker_id.SpeakerError(
        f'speaker {speaker!r} has no utterance beside the attacked one; want '
        'config.attack.speaker_id.enabled=False, or a corpus with more.'
      )
    enrolled[speaker] = own[: cfg.num_enrolment]
  return enrolled


def _probe(
  file: pathlib.Path, item: attack_victims.Spoken, method: str
) -> speaker_id.Utterance:
  """What a method found, or no frames."""
  with h5py.File(file, locking=attack_results.LOCKING) as kept:
    place = f'{item.utterance}/{method}'
    values = np.asarray(kept[place]) if place in kept else item.features[:0]
  return speaker_id.Utterance(item.speaker, values)
