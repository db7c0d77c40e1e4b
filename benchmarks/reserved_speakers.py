"""Divides a manifest: speakers to choose settings on, and others to report.

  python benchmarks/reserved_speakers.py MANIFEST TUNING RESERVED [--num=10]

writes two manifests beside (paths in them stay right only in its folder). Who
is reserved is a function of the names alone (the lowest SHA-256), so that it is
the same wherever and whenever it is decided.
"""

import hashlib
import json
import pathlib
import sys


def main(argv: list[str]) -> int:
  paths = [each for each in argv[1:] if not each.startswith('--')]
  flags = dict(each.split('=') for each in argv[1:] if each.startswith('--'))
  if len(paths) != 3 or set(flags) - {'--num'}:
    print(__doc__, file=sys.stderr)
    return 2
  source, tuning, reserved = map(pathlib.Path, paths)
  lines = [line for line in source.read_text().splitlines() if line.strip()]
  speakers = [json.loads(line)['speaker'] for line in lines]
  names = reserved_names(set(speakers), int(flags.get('--num', 10)))
  for path, is_reserved in ((tuning, False), (reserved, True)):
    chosen = [
      line
      for line, speaker in zip(lines, speakers, strict=True)
      if (speaker in names) is is_reserved
    ]
    path.write_text('\n'.join(chosen) + '\n')
    print(f'{path}: {len(chosen)} utterances')
  return 0


def reserved_names(speakers: set[str], count: int) -> set[str]:
  """Those whose names have the lowest hashes."""
  hashed = sorted(speakers, key=_hash)
  return set(hashed[:count])


def _hash(name: str) -> str:
  return hashlib.sha256(name.encode()).hexdigest()


if __name__ == '__main__':
  sys.exit(main(sys.argv))
