"""A directory as it was found, to leave it so where a start fails."""

import contextlib
import pathlib
import shutil
from collections.abc import Sequence
from typing import NamedTuple


class FoundDirectory(NamedTuple):
  """What was there before anything was written.

  missing: the directory and its parents, as far as absent, innermost first.
  absent: names in it that nothing had.
  """

  path: pathlib.Path
  missing: list[pathlib.Path]
  absent: list[str]

  def restore(self) -> None:
    """Removes what was absent; directories that came only while empty.

    What others wrote meanwhile stays.
    """
    for name in self.absent:
      entry = self.path / name
      if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
      else:
        entry.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
      for folder in self.missing:
        folder.rmdir()


def find(path: pathlib.Path, names: Sequence[str]) -> FoundDirectory:
  """The directory before a start that writes `names` into it."""
  return FoundDirectory(
    path=path,
    missing=[each for each in (path, *path.parents) if not each.exists()],
    absent=[name for name in names if not (path / name).exists()],
  )
