"""Writes a federated corpus of features: a manifest, and a .npy an utterance.

  python benchmarks/feature_manifest.py FOLDER [--speakers=74]
      [--utterances=13] [--seed=0]

A stand-in for recordings such as AN4's, whose features somebody else computed:
74 synthetic speakers who spell words and say short sentences, 13 MFCC at 100
frames a second, not normalised. Of three lines of FOLDER/manifest.jsonl, two
have a `duration`. Train on it:

  python -m fedjax_asr.main --config=configs/ds2_fedavg.py:features
      --config.data.path=FOLDER/manifest.jsonl
"""

import argparse
import json
import pathlib

import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import extraction, problem, synthetic, utterance
from fedjax_asr.speech import features

MFCC = config.FeaturesConfig(
  kind=config.FeatureKind.MFCC, num_features=13, num_mels=40
)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('folder', type=pathlib.Path)
  parser.add_argument('--speakers', type=int, default=74)
  parser.add_argument('--utterances', type=int, default=13)
  parser.add_argument('--seed', type=int, default=0)
  flags = parser.parse_args()
  items = synthetic.utterances(
    config.SyntheticConfig(
      grammar=config.Grammar.SPELLING,
      num_speakers=flags.speakers,
      utterances_per_speaker=flags.utterances,
      seed=flags.seed,
    )
  )
  seconds = write(items, flags.folder)
  print(
    f'{len(items)} utterances of {flags.speakers} speakers, '
    f'{seconds / 3600:.2f} h: {flags.folder / "manifest.jsonl"}'
  )


def write(items: list[utterance.Utterance], folder: pathlib.Path) -> float:
  """Features of all, then the manifest; seconds of speech."""
  folder.mkdir(parents=True, exist_ok=True)
  lines, total, waiting = [], 0.0, iter(items)
  for batch in extraction.extracted(items, MFCC, 60.0, 0):
    for result in batch:
      item, values = next(waiting), result.outcome
      if isinstance(values, problem.Problem):
        raise utterance.CorpusError(f'{item.id}: {values.reason}')
      np.save(folder / f'{item.id}.npy', values)
      seconds = duration(len(values))
      total += seconds
      lines.append(_line(item, None if len(lines) % 3 == 2 else seconds))
  (folder / 'manifest.jsonl').write_text(''.join(lines))
  return total


def duration(num_frames: int) -> float:
  """Seconds of the samples that so many frames cover."""
  covered = (num_frames - 1) * features.hop_length(MFCC)
  return (covered + features.window_length(MFCC)) / MFCC.sample_rate


def _line(item: utterance.Utterance, seconds: float | None) -> str:
  fields: dict[str, str | float] = {
    'features_filepath': f'{item.id}.npy',
    'text': item.text,
    'speaker': item.speaker,
  }
  if seconds is not None:
    fields['duration'] = round(seconds, 3)
  return json.dumps(fields) + '\n'


if __name__ == '__main__':
  main()
