"""Writes a corpus with digital silence in it, to attack.

  python benchmarks/silenced_manifest.py MANIFEST FOLDER [--seconds=0.5]
      [--rows=10] [--max_seconds=6]

Of the first rows of MANIFEST that are no longer than that, in turn with zeros
in front, in the middle and behind. FOLDER gets WAV files and a manifest.jsonl,
whose ids say where the zeros are.
"""

import json
import pathlib
import sys

import numpy as np
import soundfile

PLACES = ('front', 'middle', 'end')


def main(argv: list[str]) -> int:
  options = {'seconds': 0.5, 'rows': 10.0, 'max_seconds': 6.0}
  flags = [each for each in argv[1:] if each.startswith('--')]
  paths = [each for each in argv[1:] if not each.startswith('--')]
  for flag in flags:
    name, _, value = flag.removeprefix('--').partition('=')
    if name not in options:
      print(f'error: {flag}; want one of {sorted(options)}', file=sys.stderr)
      return 2
    options[name] = float(value)
  if len(paths) != 2:
    print(__doc__, file=sys.stderr)
    return 2
  source, folder = map(pathlib.Path, paths)
  folder.mkdir(parents=True)
  rows = [json.loads(line) for line in source.read_text().splitlines()]
  rows = [row for row in rows if row['duration'] <= options['max_seconds']]
  written = [
    _written(row, source.parent, folder, PLACES[index % 3], options['seconds'])
    for index, row in enumerate(rows[: int(options['rows'])])
  ]
  text = ''.join(json.dumps(row) + '\n' for row in written)
  (folder / 'manifest.jsonl').write_text(text)
  return 0


def _written(row, root, folder, place, seconds) -> dict:
  samples, rate = soundfile.read(root / row['audio_filepath'], dtype='float32')
  where = {'front': 0, 'middle': len(samples) // 2, 'end': len(samples)}[place]
  samples = np.insert(samples, where, np.zeros(round(seconds * rate)))
  name = f'{row["id"]}-{place}'
  soundfile.write(folder / f'{name}.wav', samples, rate, subtype='FLOAT')
  return {
    'audio_filepath': f'{name}.wav',
    'duration': len(samples) / rate,
    'text': row['text'],
    'speaker': row['speaker'],
    'id': name,
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
