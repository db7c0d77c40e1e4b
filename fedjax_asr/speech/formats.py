"""Formats of recordings, by the endings of their files' names."""

import pathlib
from collections import Counter
from collections.abc import Collection, Iterable

# What libsndfile decodes.
READ = frozenset(
  f'.{name}'
  for name in (
    *('aif', 'aiff', 'au', 'caf', 'flac', 'mp3', 'oga', 'ogg', 'opus', 'sph'),
    *('w64', 'wav'),
  )
)
# Recordings that it does not, which nobody wants to be passed over unsaid.
OTHER = frozenset(
  f'.{name}'
  for name in (
    *('3gp', 'aac', 'ac3', 'amr', 'ape', 'm4a', 'm4b', 'mka', 'mkv', 'mov'),
    *('mp4', 'webm', 'wma', 'wv'),
  )
)
ADVICE = 'convert to WAV or FLAC, for instance with ffmpeg'


def ending(path: pathlib.Path) -> str:
  return path.suffix.lower()


def is_recording(path: pathlib.Path) -> bool:
  return ending(path) in READ | OTHER


def other(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
  """Those in formats that are not read and of which there is no conversion.

  A conversion is a file of the same folder and name in a format that is read.
  """
  paths = list(paths)
  converted = {path.with_suffix('') for path in paths if ending(path) in READ}
  return [
    path
    for path in paths
    if ending(path) in OTHER and path.with_suffix('') not in converted
  ]


def described(paths: Collection[pathlib.Path]) -> str:
  """How many of which endings, and one of them; of one path or more."""
  counts = Counter(map(ending, paths)).most_common()
  listed = ', '.join(f'{count} {name}' for name, count in counts)
  return f'{listed}, such as {min(paths)}; {ADVICE}'
