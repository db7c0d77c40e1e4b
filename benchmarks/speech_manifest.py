"""Writes a small corpus of recordings: WAV files, and a manifest of them.

  python benchmarks/speech_manifest.py FOLDER [--speakers=12]
      [--utterances=12] [--seed=1] [--language=en]

A stand-in for the reader's own speech: commands said by synthetic speakers.
FOLDER/manifest.jsonl is in the form that `--config.data.corpus=manifest` takes:

  python -m fedjax_asr.main --config=configs/ds2_fedavg.py
      --config.data.corpus=manifest --config.data.path=FOLDER/manifest.jsonl
"""

import argparse
import json
import pathlib

import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import synthetic

_SAMPLE_RATE = synthetic.SAMPLE_RATE


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('folder', type=pathlib.Path)
  parser.add_argument('--speakers', type=int, default=12)
  parser.add_argument('--utterances', type=int, default=12)
  parser.add_argument('--seed', type=int, default=1)
  parser.add_argument('--language', default='en')
  flags = parser.parse_args()
  speech = config.SyntheticConfig(
    num_speakers=flags.speakers,
    utterances_per_speaker=flags.utterances,
    seed=flags.seed,
    language=flags.language,
  )
  try:
    rows = write(speech, flags.folder)
  except config.UserError as error:
    parser.error(str(error))
  seconds = sum(row['duration'] for row in rows)
  print(
    f'{len(rows)} utterances of {flags.speakers} speakers, '
    f'{seconds / 60:.1f} minutes: {flags.folder / "manifest.jsonl"}'
  )


def write(speech: config.SyntheticConfig, folder: pathlib.Path) -> list[dict]:
  """Recordings of 16 bits, then the manifest; its rows."""
  folder.mkdir(parents=True, exist_ok=True)
  rows = []
  for item in synthetic.utterances(speech):
    waveform = item.source.waveform(_SAMPLE_RATE)
    soundfile.write(folder / f'{item.id}.wav', waveform, _SAMPLE_RATE)
    rows.append(
      {
        'audio_filepath': f'{item.id}.wav',
        'duration': round(len(waveform) / _SAMPLE_RATE, 3),
        'text': item.text,
        'speaker': item.speaker,
      }
    )
  lines = [json.dumps(row) + '\n' for row in rows]
  (folder / 'manifest.jsonl').write_text(''.join(lines))
  return rows


if __name__ == '__main__':
  main()
