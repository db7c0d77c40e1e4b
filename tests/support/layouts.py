"""The same small corpus of synthesised speech in every layout that is read."""

import csv
import io
import json
import pathlib
import tarfile
from collections.abc import Callable

import numpy as np
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import synthetic, utterance

SPEECH = config.SyntheticConfig(
  grammar=config.Grammar.DIGITS, num_speakers=5, utterances_per_speaker=3
)


def speech() -> list[tuple[utterance.Utterance, np.ndarray]]:
  """Utterances and their waveforms at 16 kHz."""
  return [
    (item, item.source.waveform(synthetic.SAMPLE_RATE))
    for item in synthetic.utterances(SPEECH)
  ]


def common_voice(folder: pathlib.Path) -> pathlib.Path:
  """MP3 beside validated.tsv, with columns that nobody asked for."""
  (folder / 'clips').mkdir(parents=True)
  rows = ['client_id\tpath\tsentence_id\tsentence\tup_votes\tlocale']
  for item, waveform in speech():
    name = f'common_voice_en_{item.id}.mp3'
    soundfile.write(folder / 'clips' / name, waveform, synthetic.SAMPLE_RATE)
    rows.append(f'{item.speaker}\t{name}\tx1\t{item.text}\t2\ten')
  (folder / 'validated.tsv').write_text('\n'.join(rows) + '\n')
  return folder


def kaldi(folder: pathlib.Path) -> pathlib.Path:
  """A recording of each speaker, and segments of it."""
  folder.mkdir(parents=True, exist_ok=True)
  files = {name: [] for name in ('wav.scp', 'text', 'utt2spk', 'segments')}
  recordings: dict[str, list[np.ndarray]] = {}
  for item, waveform in speech():
    parts = recordings.setdefault(item.speaker, [])
    start = sum(map(len, parts)) / synthetic.SAMPLE_RATE
    parts.append(waveform)
    end = sum(map(len, parts)) / synthetic.SAMPLE_RATE
    files['text'].append(f'{item.id} {item.text}')
    files['utt2spk'].append(f'{item.id} {item.speaker}')
    files['segments'].append(f'{item.id} rec-{item.speaker} {start} {end}')
  for speaker, parts in recordings.items():
    path = folder / f'{speaker}.wav'
    soundfile.write(path, np.concatenate(parts), synthetic.SAMPLE_RATE)
    files['wav.scp'].append(f'rec-{speaker} {speaker}.wav')
  for name, lines in files.items():
    (folder / name).write_text('\n'.join(lines) + '\n')
  return folder


def audiofolder(folder: pathlib.Path) -> pathlib.Path:
  """Two splits, one with metadata.csv, one with metadata.jsonl."""
  rows: dict[str, list[dict[str, str]]] = {'train': [], 'test': []}
  for item, waveform in speech():
    split = 'test' if item.speaker == 's0004' else 'train'
    (folder / split / 'a').mkdir(parents=True, exist_ok=True)
    name = f'a/{item.id}.flac'
    soundfile.write(folder / split / name, waveform, synthetic.SAMPLE_RATE)
    rows[split].append(
      {
        'file_name': name,
        'transcription': item.text,
        'speaker_id': item.speaker,
      }
    )
  with (folder / 'train' / 'metadata.csv').open('w', newline='') as file:
    writer = csv.DictWriter(file, list(rows['train'][0]))
    writer.writeheader()
    writer.writerows(rows['train'])
  lines = ''.join(json.dumps(row) + '\n' for row in rows['test'])
  (folder / 'test' / 'metadata.jsonl').write_text(lines)
  return folder


def shards(folder: pathlib.Path) -> pathlib.Path:
  """A tar of FLAC with .json for all but the last speaker's, one for his."""
  folder.mkdir(parents=True, exist_ok=True)
  tars = [
    tarfile.open(folder / f'{index:06d}.tar', 'w')  # noqa: SIM115
    for index in range(2)
  ]
  for item, waveform in speech():
    file = io.BytesIO()
    soundfile.write(file, waveform, synthetic.SAMPLE_RATE, format='FLAC')
    sidecar = json.dumps({'text': item.text, 'speaker': item.speaker})
    tar = tars[item.speaker == 's0004']
    add(tar, f'{item.id}.flac', file.getvalue())
    add(tar, f'{item.id}.json', sidecar.encode())
  for tar in tars:
    tar.close()
  return folder


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
  member = tarfile.TarInfo(name)
  member.size = len(content)
  tar.addfile(member, io.BytesIO(content))


WRITERS: dict[config.Corpus, Callable[[pathlib.Path], pathlib.Path]] = {
  config.Corpus.COMMON_VOICE: common_voice,
  config.Corpus.KALDI: kaldi,
  config.Corpus.AUDIOFOLDER: audiofolder,
  config.Corpus.SHARDS: shards,
}
