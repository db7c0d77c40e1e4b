"""A stretch of a file that is a file of its own, as members of a tar are."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fedjax_asr.speech import spliced


class FilePart(NamedTuple):
  """The bytes of `path` from `start` up to `stop`, under a name."""

  path: str
  start: int
  stop: int
  name: str

  def __str__(self) -> str:
    return f'{self.path}/{self.name}'


Path = str | os.PathLike[str] | FilePart


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
  """The file, or the part as if it were one, to be read.

  Raises:
    OSError: as `open`.
  """
  if not isinstance(path, FilePart):
    with open(path, 'rb') as file:
      yield file
    return
  with open(path.path, 'rb') as file:
    yield io.BufferedReader(_PartFile(file, path))


class _PartFile(spliced.SplicedFile):
  """With what a file has beside its bytes."""

  mode = 'rb'

  def __init__(self, file: BinaryIO, part: FilePart):
    super().__init__(file, [spliced.Stretch(part.start, part.stop)])
    self.name = str(part)
