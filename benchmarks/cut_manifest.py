"""Writes a corpus of pieces of recordings, each speaker with several.

  python benchmarks/cut_manifest.py MANIFEST FOLDER [--seconds=1.6]
      [--pieces=6] [--half=second]

For corpora with one recording of each speaker, where a client has to hold more
than one utterance. Of the first or the second half of MANIFEST's utterances,
sorted by id, those that are long enough; the transcript is shared out by time,
as if it were spoken evenly. Pieces are a quarter shorter to a quarter longer
than --seconds, since utterances are not of one length. FOLDER gets WAV files
and a manifest.jsonl.
"""

import json
import pathlib
import sys

import numpy as np
import soundfile

_SHORTEST, _LONGEST = 0.75, 1.25
HALVES = ('first', 'second', 'all')


def main(argv: list[str]) -> int:
  options = {'seconds': '1.6', 'pieces': '6', 'half': 'second'}
  flags = [each for each in argv[1:] if each.startswith('--')]
  paths = [each for each in argv[1:] if not each.startswith('--')]
  for flag in flags:
    name, _, value = flag.removeprefix('--').partition('=')
    if name not in options:
      print(f'error: {flag}; want one of {sorted(options)}', file=sys.stderr)
      return 2
    options[name] = value
  if len(paths) != 2 or options['half'] not in HALVES:
    print(__doc__, file=sys.stderr)
    return 2
  source, folder = map(pathlib.Path, paths)
  folder.mkdir(parents=True)
  rows = half(source, options['half'])
  seconds, pieces = float(options['seconds']), int(options['pieces'])
  written = [
    piece
    for row in rows
    if row['duration'] >= _LONGEST * seconds * pieces
    for piece in _pieces(row, source.parent, folder, seconds, pieces)
  ]
  text = ''.join(json.dumps(row) + '\n' for row in written)
  (folder / 'manifest.jsonl').write_text(text)
  return 0


def half(source: pathlib.Path, which: str) -> list[dict]:
  """Rows of that half of the utterances, sorted by id."""
  rows = [json.loads(line) for line in source.read_text().splitlines()]
  rows = sorted(rows, key=lambda row: row['id'])
  middle = len(rows) // 2
  return {'first': rows[:middle], 'second': rows[middle:], 'all': rows}[which]


def _pieces(row, root, folder, seconds, count):
  samples, rate = soundfile.read(root / row['audio_filepath'], dtype='float32')
  words = row['text'].split()
  # A function of the recording alone.
  rng = np.random.default_rng(len(samples))
  lengths = seconds * rng.uniform(_SHORTEST, _LONGEST, count)
  ends = np.round(np.cumsum(lengths) * rate).astype(int)
  for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
    name = f'{row["id"]}-{index}'
    part = samples[start:end]
    soundfile.write(folder / f'{name}.wav', part, rate, subtype='FLOAT')
    first, last = (round(len(words) * at / len(samples)) for at in (start, end))
    said = words[first:last]
    yield {
      'audio_filepath': f'{name}.wav',
      'duration': len(part) / rate,
      'text': ' '.join(said or words[:1]),
      'speaker': row['speaker'],
      'id': name,
    }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
