"""Output to a terminal or pipe that may go before the work is done."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

# What writing answers once a pipe has no reader, or a terminal is gone.
_GONE = (errno.EPIPE, errno.EIO)


class LastingStream:
  """A text stream that goes on into nothing once nobody reads it."""

  def __init__(self, stream: Any):
    self._stream = stream

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)

  def write(self, text: str) -> int:
    with self._lasting():
      self._stream.write(text)
    return len(text)

  def flush(self) -> None:
    with self._lasting():
      self._stream.flush()

  @contextlib.contextmanager
  def _lasting(self) -> Iterator[None]:
    try:
      yield
    except OSError as error:
      if error.errno not in _GONE:
        raise
      nothing = os.open(os.devnull, os.O_WRONLY)
      os.dup2(nothing, self._stream.fileno())
      os.close(nothing)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
  """Lets standard output and errors last."""
  before = sys.stdout, sys.stderr
  # A stream that was closed from the start is None.
  sys.stdout, sys.stderr = (
    stream and LastingStream(stream) for stream in before
  )
  try:
    yield
  finally:
    for stream in (sys.stdout, sys.stderr):
      if stream:
        stream.flush()
    sys.stdout, sys.stderr = before
