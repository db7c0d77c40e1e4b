"""The file that HDF5 writes into, so that a full disk is an exception."""

import io
import os
import pathlib


class Sink(io.FileIO):
  """A file whose write errors wait until they are asked for.

  HDF5 cannot close a file that it failed to write, and crashes when Python
  ends. So after an error, or Ctrl-C, it is told that all is well and writes
  into the void; `check` raises the error.
  """

  def __init__(self, path: pathlib.Path) -> None:
    super().__init__(path, 'w+')
    self._error: BaseException | None = None

  def check(self) -> None:
    """Raises the first error there was."""
    if self._error is not None:
      raise self._error

  def sync(self) -> None:
    """Returns when all is on the disk; raises the error if it cannot be."""
    self.check()
    os.fsync(self.fileno())

  def write(self, data) -> int:
    view = memoryview(data).cast('B')
    size = len(view)
    try:
      while self._error is None and view:
        view = view[super().write(view) :]
    except (OSError, KeyboardInterrupt) as error:
      self._error = error
    return size

  def truncate(self, size: int | None = None) -> int:
    try:
      if self._error is None:
        return super().truncate(size)
    except (OSError, KeyboardInterrupt) as error:
      self._error = error
    return size or 0
