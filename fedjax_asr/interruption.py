"""Ctrl-C, and the signals by which a cluster says that time is up."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

# SLURM sends SIGTERM before it kills, and SIGUSR1 earlier where it is asked to;
# SIGHUP comes from a terminal that goes.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_SHOW_CURSOR = b'\x1b[?25h'
# The exit status of a process that a signal ended, as shells have it.
SIGNALLED = 128


class Interrupted(KeyboardInterrupt):
  """One of the signals came."""

  def __init__(self, number: int):
    super().__init__()
    self.signal = signal.Signals(number)


class Interruption:
  """What a signal does: it is noted, and work ends where that is safe.

  Nothing is raised where a signal happens to arrive: an extension that is being
  imported would be broken, and a callback of the garbage collector would lose
  it. A second Ctrl-C ends the process at once.
  """

  def __init__(self):
    self.came: int | None = None

  def check(self) -> None:
    """Raises `Interrupted` for the signal that came, if one did."""
    if self.came is not None:
      raise Interrupted(self.came)

  def handle(self, number: int, _: Any) -> None:
    if number == signal.SIGINT and self.came is not None:
      _end_at_once(number)
    self.came = self.came or number
    if number == signal.SIGINT and os.isatty(2):
      _write(b'\nstopping where that is safe; Ctrl-C again: at once\n')


_current: Interruption | None = None


@contextlib.contextmanager
def caught() -> Iterator[Interruption]:
  """Signals go to the interruption, but for those that are ignored already.

  Within another such context it is the same one.
  """
  global _current
  if _current is not None:
    yield _current
    return
  _current = found = Interruption()
  before = _handled_by(found)
  try:
    yield found
  finally:
    _current = None
    for number, handler in before.items():
      signal.signal(number, handler)


def catch_for_good() -> None:
  """As `caught`, for as long as the process lasts.

  No context that the end of a process would have to leave: modules are taken
  down by then.
  """
  global _current
  _current = Interruption()
  _handled_by(_current)


def _handled_by(found: Interruption) -> dict[int, Any]:
  """What handled these signals before, but for those that are ignored."""
  before = {}
  if threading.current_thread() is threading.main_thread():
    for number in _SIGNALS:
      if signal.getsignal(number) != signal.SIG_IGN:
        before[number] = signal.signal(number, found.handle)
  return before


def check() -> None:
  """A safe point of long work: raises `Interrupted` if a signal came.

  From any thread; nothing where no signals are caught.
  """
  if _current is not None:
    _current.check()


def _end_at_once(number: int) -> None:
  """Neither waits nor cleans up, but for the terminal."""
  if os.isatty(1):
    with contextlib.suppress(OSError):
      os.write(1, _SHOW_CURSOR)
  _write(b'interrupted, at once.\n')
  os._exit(SIGNALLED + number)


def _write(line: bytes) -> None:
  """Not by way of Python's streams, which may be in the middle of a line."""
  with contextlib.suppress(OSError):
    os.write(2, line)
