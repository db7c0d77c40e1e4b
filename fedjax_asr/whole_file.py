"""Files, and folders, that are there whole or not at all."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator


def replace_text(path: pathlib.Path, content: str, mode: int = 0o666) -> None:
  """Writes a file whole or not at all."""
  replace_bytes(path, content.encode(), mode)


def replace_bytes(
  path: pathlib.Path, content: bytes, mode: int = 0o666
) -> None:
  """The same, of any content; `mode`, less the umask, is the file's at once."""
  temporary = path.with_name(f'.{path.name}.tmp')
  # Of a process that was killed; its mode may be another.
  temporary.unlink(missing_ok=True)
  opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
  with open(opened, 'wb') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)


@contextlib.contextmanager
def replacing_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A folder to write in, which takes the place of `path` in the end.

  Where the block raises or the process dies, what was there stays. No file
  system swaps two folders in one step: between two renames there is none
  under the name, and what was there is put back by the next call.
  """
  temporary = path.with_name(f'.{path.name}.tmp')
  before = path.with_name(f'.{path.name}.before')
  if before.exists() and not path.exists():
    before.rename(path)
  for left in (temporary, before):
    shutil.rmtree(left, ignore_errors=True)
  temporary.mkdir()
  try:
    yield temporary
    for file in temporary.iterdir():
      _sync(file)
    if path.exists():
      path.rename(before)
    temporary.rename(path)
  finally:
    for left in (temporary, before):
      shutil.rmtree(left, ignore_errors=True)


def _sync(file: pathlib.Path) -> None:
  with file.open('rb') as opened:
    os.fsync(opened.fileno())
