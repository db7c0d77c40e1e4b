"""Formats of recordings, by the endings of their files' names."""

import importlib.util
import pathlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

# What libsndfile decodes.
READ = frozenset(
  f'.{name}'
  for name in (
    *('aif', 'aiff', 'au', 'caf', 'flac', 'mp3', 'oga', 'ogg', 'opus', 'sph'),
    *('w64', 'wav'),
  )
)
# Recordings that it does not, but PyAV does where it is installed.
OTHER = frozenset(
  f'.{name}'
  for name in (
    *('3gp', 'aac', 'ac3', 'amr', 'ape', 'm4a', 'm4b', 'mka', 'mkv', 'mov'),
    *('mp4', 'webm', 'wma', 'wv'),
  )
)
ADVICE = (
  'convert to WAV or FLAC, for instance with ffmpeg, or run: pip install '
  "'fedjax_asr[formats]'"
)


def ending(path: pathlib.Path) -> str:
  return path.suffix.lower()


def is_recording(path: pathlib.Path) -> bool:
  return ending(path) in READ | OTHER


def has_decoder() -> bool:
  """Whether the extra `formats` is there, with which all are read."""
  return importlib.util.find_spec('av') is not None


def endings() -> frozenset[str]:
  """Of recordings that are read."""
  return READ | OTHER if has_decoder() else READ


def is_decoded(path: pathlib.Path) -> bool:
  """Whether PyAV reads it."""
  return ending(path) in OTHER and has_decoder()


def read(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
  """Recordings that are read, in order, without those that were converted."""
  paths = list(paths)
  left_out = set(_converted(paths))
  wanted = endings()
  return [
    path for path in paths if ending(path) in wanted and path not in left_out
  ]


def other(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
  """Those in formats that are not read and of which there is no conversion.

  A conversion is a file of the same folder and name in a format that is read.
  """
  if has_decoder():
    return []
  paths = list(paths)
  left_out = set(_converted(paths))
  return [
    path for path in paths if ending(path) in OTHER and path not in left_out
  ]


def _converted(paths: Collection[pathlib.Path]) -> Iterator[pathlib.Path]:
  """Those in other formats of which there is a conversion."""
  there = {path.with_suffix('') for path in paths if ending(path) in READ}
  for path in paths:
    if ending(path) in OTHER and path.with_suffix('') in there:
      yield path


def described(paths: Collection[pathlib.Path]) -> str:
  """How many of which endings, and one of them; of one path or more."""
  counts = Counter(map(ending, paths)).most_common()
  listed = ', '.join(f'{count} {name}' for name, count in counts)
  return f'{listed}, such as {min(paths)}; {ADVICE}'
