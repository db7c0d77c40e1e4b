"""Kaldi's data directories: wav.scp, text, utt2spk and, optionally, segments.

Files of the directory have an entry a line, its id first. Other files, such as
spk2gender, are not read.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from fedjax_asr.corpora import collection, lines, problem, utterance

_Kind = problem.Kind


class _Entry(NamedTuple):
  """A line of a file: what follows its id, and where it is."""

  value: str
  place: str


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """Those of `segments`, or of wav.scp where there is no such file.

  Paths that are not absolute start at the data directory, or, where there is no
  such file, at the working directory, as in recipes. A segment ends with its
  recording where its end is -1. Problems are audio without transcript, a
  transcript without audio, repeated ids and bad times.

  Raises:
    CorpusError: a file is missing, or wav.scp has commands or archives.
  """
  folder = pathlib.Path(path)
  collected = collection.Collection(folder)
  recordings = _entries(folder / 'wav.scp', collected)
  for entry in recordings.values():
    _check_plain(entry)
  texts = _entries(folder / 'text', collected)
  speakers = _entries(folder / 'utt2spk', collected)
  spoken, table = recordings, folder / 'wav.scp'
  if (folder / 'segments').exists():
    table = folder / 'segments'
    spoken = _entries(table, collected)
  for name, entry in spoken.items():
    try:
      if name not in texts:
        reason = f'not in {folder / "text"}.'
        raise lines.LineError(_Kind.NO_TRANSCRIPT, name, reason)
      source = _source(name, entry, folder, recordings, spoken)
    except lines.LineError as error:
      collected.refuse_line(error, entry.place)
      continue
    item = utterance.Utterance(
      id=name,
      speaker=speakers[name].value if name in speakers else '',
      text=texts[name].value,
      duration=source.seconds,
      source=source,
    )
    collected.add(item, entry.place)
  for name, entry in texts.items():
    if name not in spoken:
      reason = f'not in {table}.'
      collected.refuse(_Kind.MISSING_FILE, name, entry.place, reason)
  return collected.result()


def _entries(
  file: pathlib.Path, collected: collection.Collection
) -> dict[str, _Entry]:
  """By id; of a repeated id the first."""
  found: dict[str, _Entry] = {}
  for number, line in lines.numbered(file, f'{file.name} of a data directory'):
    place = f'{file}:{number}'
    try:
      name, *rest = lines.decoded(line).split(maxsplit=1)
    except lines.LineError as error:
      collected.refuse_line(error, place)
      continue
    if name in found:
      reason = f'repeats the id {name!r}.'
      collected.refuse(_Kind.DUPLICATE_ID, name, place, reason)
      continue
    found[name] = _Entry(rest[0].rstrip() if rest else '', place)
  return found


def _check_plain(entry: _Entry) -> None:
  """Raises unless it is a path: nothing of a corpus is executed."""
  if entry.value.endswith('|'):
    raise utterance.CorpusError(
      f'{entry.place}: {entry.value!r} is a command; want the path of an audio '
      'file: write its output to one first, for instance with wav-copy.'
    )
  file, colon, offset = entry.value.rpartition(':')
  if colon and file and offset.isdecimal():
    raise utterance.CorpusError(
      f'{entry.place}: {entry.value!r} is a place in an archive; want the path '
      'of an audio file: copy it out first, for instance with wav-copy.'
    )


def _source(
  name: str,
  entry: _Entry,
  folder: pathlib.Path,
  recordings: Mapping[str, _Entry],
  spoken: Mapping[str, _Entry],
) -> utterance.AudioFile:
  """Of an entry of `spoken`: wav.scp or segments."""
  if spoken is recordings:
    return utterance.AudioFile(str(_file(name, entry, folder)))
  fields = entry.value.split()
  if len(fields) != 3:
    reason = f'{entry.value!r}; want a recording, its start and its end.'
    raise lines.LineError(_Kind.BAD_LINE, name, reason)
  recording = fields[0]
  if recording not in recordings:
    reason = f'its recording {recording!r} is not in {folder / "wav.scp"}.'
    raise lines.LineError(_Kind.MISSING_FILE, name, reason)
  start, end = _seconds(name, fields[1]), _seconds(name, fields[2])
  if start < 0 or (end <= start and end != -1):
    reason = f'from {start:g} s to {end:g} s; want a later end, or -1.'
    raise lines.LineError(_Kind.BAD_SEGMENT, name, reason)
  file = _file(name, recordings[recording], folder)
  seconds = 0.0 if end == -1 else end - start
  return utterance.AudioFile(str(file), start, seconds)


def _seconds(name: str, value: str) -> float:
  try:
    seconds = float(value)
  except ValueError:
    seconds = math.nan
  if not math.isfinite(seconds):
    raise lines.LineError(_Kind.BAD_LINE, name, f'{value!r}; want seconds.')
  return seconds


def _file(name: str, entry: _Entry, folder: pathlib.Path) -> pathlib.Path:
  inside = folder / entry.value
  for file in (inside, pathlib.Path(entry.value)):
    if lines.is_file(file):
      return file
  raise lines.LineError(_Kind.MISSING_FILE, name, f'no file {inside}.')
