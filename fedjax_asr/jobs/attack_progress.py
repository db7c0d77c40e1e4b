"""What the attacks under way are doing, on a terminal and elsewhere."""

import contextlib
import datetime
import threading
import time
from types import TracebackType

import rich.console

from fedjax_asr import interruption, progress

# Between two lines where the output is no terminal.
EVERY_SECONDS = 20.0
_MAX_SHOWN = 3


class AttackProgress:
  """The stage of each victim that is attacked, shown until it is done.

  On a terminal, beside a bar of all victims; elsewhere as a plain line now and
  then, so that no log is silent for long, whatever a stage does. Threads may
  report at once.
  """

  def __init__(
    self,
    console: rich.console.Console,
    every_seconds: float | None = None,
    *,
    num_done: int = 0,
    num_victims: int = 0,
  ) -> None:
    """`num_done`: of all victims, those that were attacked before."""
    self._console = console
    self._num_done = num_done
    self._num_victims = num_victims
    self._every = EVERY_SECONDS if every_seconds is None else every_seconds
    self._lock = threading.Lock()
    # By victim: since when, and the stage.
    self._stages: dict[str, tuple[float, str]] = {}
    self._is_over = threading.Event()
    self._lines = threading.Thread(target=self._print_lines, daemon=True)
    self._bar = None
    if console.is_terminal:
      self._bar = progress.Counted(console, 'victims', bar_width=10)

  def report(self, victim: str, stage: str) -> None:
    """The victim's attack is at another stage; a signal ends it here.

    Raises:
      Interrupted: a signal came.
    """
    interruption.check()
    with self._lock:
      since, _ = self._stages.get(victim, (time.monotonic(), ''))
      self._stages[victim] = since, stage
    if self._bar:
      self._bar.tell(self._text())

  def done(self, victim: str) -> None:
    """Nothing is said of the victim any more."""
    with self._lock:
      self._stages.pop(victim, None)
      self._num_done += 1
    if self._bar:
      self._bar.tell(self._text())
      self._count()

  def _count(self) -> None:
    if self._bar and self._num_victims:
      self._bar.report(self._num_done, self._num_victims)

  def __enter__(self) -> 'AttackProgress':
    if self._bar:
      self._bar.__enter__()
      self._count()
    else:
      self._lines.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    self._is_over.set()
    if self._bar:
      self._bar.__exit__()
    else:
      self._lines.join()

  def _print_lines(self) -> None:
    while not self._is_over.wait(self._every):
      text = self._text()
      if text:
        # Nobody may read it any more; the attack goes on.
        with contextlib.suppress(OSError):
          self._console.print(text)

  def _text(self) -> str:
    with self._lock:
      stages = list(self._stages.items())
    now = time.monotonic()
    shown = [
      f'{victim}: {stage} ({datetime.timedelta(seconds=int(now - since))})'
      for victim, (since, stage) in stages[:_MAX_SHOWN]
    ]
    more = len(stages) - _MAX_SHOWN
    return '; '.join(shown + [f'and {more} more'] * (more > 0))
