"""Ctrl-C, and the signals by which a cluster says that time is up."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

# SLURM sends SIGTERM before it kills, and SIGUSR1 earlier where it is asked to;
# SIGHUP comes from a terminal that goes.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
  """One of the signals came."""

  def __init__(self, number: int):
    super().__init__()
    self.signal = signal.Signals(number)


class Interruption:
  """What a signal does, in the main thread and nowhere else.

  It raises `Interrupted`, or, once `hold` was called, is only noted, for work
  that wants to save what it has. A second Ctrl-C raises all the same.
  """

  def __init__(self):
    self.came: int | None = None
    self._holds = False

  def hold(self) -> None:
    self._holds = True

  def end(self) -> None:
    """Raises `Interrupted` for the signal that came, if one did."""
    if self.came is not None:
      raise Interrupted(self.came)

  def handle(self, number: int, _: Any) -> None:
    again = self.came is not None
    if not self._holds or (again and number == signal.SIGINT):
      raise Interrupted(number)
    self.came = self.came or number
    if number == signal.SIGINT and sys.stderr.isatty():
      # Not by way of Python's streams, which may be in the middle of a line.
      os.write(2, b'\nstopping after this round; Ctrl-C again: at once\n')


@contextlib.contextmanager
def caught() -> Iterator[Interruption]:
  """Signals go to the interruption, but for those that are ignored already."""
  found = Interruption()
  before = {}
  if threading.current_thread() is threading.main_thread():
    for number in _SIGNALS:
      if signal.getsignal(number) != signal.SIG_IGN:
        before[number] = signal.signal(number, found.handle)
  try:
    yield found
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
