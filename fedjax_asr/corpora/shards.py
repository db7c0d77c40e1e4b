"""Tar files in WebDataset's form: recordings beside their transcripts.

Members whose paths are equal up to the first dot of their names are one
utterance, and that is its id: a recording, and its transcript in <id>.txt or,
which wins, as `text` or `transcript` of an object in <id>.json, which may have
a `speaker` (or `speaker_id` or `client_id`) and a `client` too. Other members
are ignored. Recordings are read where they lie; nothing is unpacked.
"""

import pathlib
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.corpora import collection, lines, problem, utterance
from fedjax_asr.speech import audio, encoded, file_part, formats

_Kind = problem.Kind
_TEXTS = ('text', 'transcript')
_SPEAKERS = ('speaker', 'speaker_id', 'client_id')
# A longer transcript is none.
_MAX_SIDECAR_BYTES = 1 << 20
# What is behind the last member.
_END = bytes(tarfile.BLOCKSIZE)

_Parts = dict[str, file_part.FilePart]  # By ending.


class Member(NamedTuple):
  """Speech that is a member of a tar file."""

  part: file_part.FilePart

  def fingerprint(self) -> str:
    return utterance.file_fingerprint(self.part)

  def features(
    self, cfg: config.FeaturesConfig, max_seconds: float
  ) -> utterance.Features:
    return utterance.features_of_audio(
      self.describe(),
      lambda: audio.read(self.part, cfg.sample_rate, max_seconds),
      cfg,
    )

  def waveform(self, sample_rate: int) -> utterance.Waveform:
    return audio.read(self.part, sample_rate)

  def sample_rate(self) -> int:
    return audio.sample_rate(self.part)

  def describe(self) -> str:
    return str(self.part)


def utterances(
  path: str | pathlib.Path,
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  """Those of a tar file, or of all of a folder, in order of their names.

  Recordings without transcript, transcripts without recording, repeated ids
  and shards that are cut off are problems; what was whole is kept.

  Raises:
    CorpusError: there is no tar file, or it is compressed or something else.
  """
  root = pathlib.Path(path)
  files = sorted(root.glob('*.tar')) if root.is_dir() else [root]
  if not files:
    raise utterance.CorpusError(
      f'{root}: no *.tar in it; want shards in the form of WebDataset, not '
      'compressed.'
    )
  collected = collection.Collection(root)
  for file in files:
    for key, parts in _groups(file, collected).items():
      try:
        item = _utterance(key, parts)
      except lines.LineError as error:
        collected.refuse_line(error, f'{file}/{key}')
        continue
      if item is not None:
        collected.add(item, f'{file}/{key}')
  return collected.result()


def _groups(
  file: pathlib.Path, collected: collection.Collection
) -> dict[str, _Parts]:
  """Whole members by id and ending; a shard that is cut is a problem."""
  found: dict[str, _Parts] = {}
  try:
    size = file.stat().st_size
    with tarfile.open(file, 'r:') as tar:
      for member in _members(tar):
        stop = member.offset_data + member.size
        if member.isreg() and not member.issparse() and stop <= size:
          part = file_part.FilePart(
            str(file), member.offset_data, stop, member.name
          )
          key, ending = _divided(member.name)
          found.setdefault(key, {})[ending] = part
      end = tar.offset
    with file.open('rb') as content:
      if encoded.peek(content, end, tarfile.BLOCKSIZE) != _END:
        reason = f'cut off or damaged at byte {min(end, size)}, unless before.'
        collected.refuse(_Kind.BAD_SHARD, '', str(file), reason)
  except OSError as error:
    raise utterance.CorpusError(
      f'{file}: cannot read the shard: {error.strerror}.'
    ) from None
  except tarfile.TarError as error:
    reason = f'not a tar file, or a compressed one ({error}); want it as it is.'
    collected.refuse(_Kind.BAD_SHARD, '', str(file), reason)
  return found


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
  """Up to the end or the cut, of which the caller finds out."""
  while True:
    try:
      member = tar.next()
    except tarfile.ReadError:
      return
    if member is None:
      return
    yield member
    vars(tar)['members'].clear()  # Which would keep all of them.


def _divided(name: str) -> tuple[str, str]:
  """Up to the first dot of the last name of a path, and from there on."""
  folder, slash, last = name.rpartition('/')
  stem, dot, ending = last.partition('.')
  return folder + slash + stem, (dot + ending).lower()


def _utterance(key: str, parts: _Parts) -> utterance.Utterance | None:
  """None of members that are neither recording nor transcript."""
  recordings = [
    part
    for part in parts.values()
    if formats.is_recording(pathlib.Path(part.name))
  ]
  fields = lines.json_object(_content(key, parts, '.json'))
  column = lines.present(fields, _TEXTS)
  if column is None and '.txt' in parts:
    column = 'text'
    fields['text'] = lines.decoded(_content(key, parts, '.txt')).strip()
  if not recordings:
    if column is None:
      return None
    reason = 'no recording beside its transcript.'
    raise lines.LineError(_Kind.MISSING_FILE, key, reason)
  if column is None:
    reason = f'no {key}.txt, nor {lines.listed(_TEXTS)} in {key}.json.'
    raise lines.LineError(_Kind.NO_TRANSCRIPT, key, reason)
  return utterance.Utterance(
    id=key,
    speaker=lines.first_name(fields, _SPEAKERS),
    text=lines.string(fields, column, may_be_empty=True),
    duration=0.0,
    source=Member(recordings[0]),
    client=lines.name(fields, 'client') or '',
  )


def _content(key: str, parts: _Parts, ending: str) -> bytes:
  """Of a member beside a recording; that of a missing one is {}."""
  if ending not in parts:
    return b'{}'
  part = parts[ending]
  if part.stop - part.start > _MAX_SIDECAR_BYTES:
    reason = f'{part.name} is longer than {_MAX_SIDECAR_BYTES} bytes.'
    raise lines.LineError(_Kind.BAD_LINE, key, reason)
  with file_part.opened(part) as file:
    return file.read()
