"""How far work is, on a terminal as a bar and elsewhere as lines."""

import contextlib
import datetime
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import rich.console
import rich.progress
import rich.table
import rich.text

# Called with (done, all).
Report = Callable[[float, int], None]

# Between two lines of counted work, where the output is no terminal.
_EVERY_SECONDS = 20.0
_MOST_LINES = 20

# From here on a loss is given as a power of ten.
_LARGE = 1e5


class Progress:
  """Rounds done, or another unit, the latest numbers and the time left.

  Use it as a context manager. Where the output is no terminal it prints about
  twenty plain lines in all, so that a log file stays readable.
  """

  def __init__(
    self,
    num_rounds: int,
    *,
    start: int = 0,
    unit: str = 'round',
    console: rich.console.Console | None = None,
  ):
    self._console = console or rich.console.Console()
    self._num_rounds = num_rounds
    self._unit = unit
    self._start = start
    self._done = start
    self._started = time.monotonic()
    self._fields: dict[str, float | None] = {}
    is_terminal = self._console.is_terminal
    self._bar = _bar(self._console) if is_terminal else None
    if self._bar:
      self._task = self._bar.add_task(
        unit, total=num_rounds, completed=start, numbers=''
      )

  def __enter__(self) -> 'Progress':
    self._started = time.monotonic()
    if self._bar:
      self._bar.start()
    return self

  def __exit__(self, *_: object) -> None:
    if self._bar:
      self._bar.stop()

  def advance(
    self,
    *,
    loss: float | None = None,
    wer: float | None = None,
    clients_per_second: float | None = None,
    times_real_time: float | None = None,
    epsilon: float | None = None,
  ) -> None:
    """One more round is done; a number left out keeps its last value."""
    fields = {
      'loss': loss,
      'wer': wer,
      'clients_per_second': clients_per_second,
      'times_real_time': times_real_time,
      'epsilon': epsilon,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    self._fields |= given
    self._done += 1
    if self._bar:
      self._bar.update(self._task, advance=1, numbers=_numbers(self._fields))
    elif self._is_line_due(wer is not None):
      self.print(
        f'{self._unit} {self._done}/{self._num_rounds}  '
        f'{_numbers(self._fields)}  {self._remaining()} left'
      )

  @contextlib.contextmanager
  def within(self, what: str) -> Iterator[Report]:
    """A second bar, of a part of the step under way; on a terminal only."""
    if not self._bar:
      yield lambda done, total: None
      return
    bar, task = self._bar, self._bar.add_task(what, total=None, numbers='')
    try:
      yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
      bar.remove_task(task)

  def print(self, text: Any) -> None:
    """Prints above the bar."""
    self._console.print(text, highlight=False, markup=False, soft_wrap=True)

  def _is_line_due(self, has_wer: bool) -> bool:
    every = max(1, math.ceil(self._num_rounds / 20))
    ends = self._done in (self._start + 1, self._num_rounds)
    return ends or has_wer or self._done % every == 0

  def _remaining(self) -> str:
    elapsed = time.monotonic() - self._started
    per_round = elapsed / max(1, self._done - self._start)
    seconds = per_round * max(0, self._num_rounds - self._done)
    return str(datetime.timedelta(seconds=round(seconds)))


class Counted:
  """Work whose amount is told as it goes: a bar that is gone in the end.

  Before the amount is told the bar says for how long the work has lasted. Where
  the output is no terminal, nothing is said of short work, and of longer work a
  line now and then, about twenty in all. Threads may report at once.
  """

  def __init__(
    self,
    console: rich.console.Console,
    what: str,
    *,
    has_lines: bool = True,
    every_seconds: float = _EVERY_SECONDS,
    bar_width: int = 40,
  ):
    """`has_lines`: else there are none where the output is no terminal.

    `bar_width`: letters; fewer leave room for what is told beside the bar.
    """
    self._console = console
    self._what = what
    self._bar = None
    if console.is_terminal:
      self._bar = _bar(console, is_gone=True, bar_width=bar_width)
    self._has_lines = has_lines
    self._every = every_seconds
    self._lock = threading.Lock()
    self._started = self._told = time.monotonic()
    self._told_share = 0.0
    if self._bar:
      self._task = self._bar.add_task(what, total=None, numbers='')

  def __enter__(self) -> 'Counted':
    if self._bar:
      self._bar.start()
    return self

  def __exit__(self, *_: object) -> None:
    if self._bar:
      self._bar.stop()

  def report(self, done: float, total: int) -> None:
    """So much of all is done."""
    if self._bar:
      self._bar.update(self._task, completed=done, total=total)
    elif self._has_lines:
      with self._lock:
        self._line(done, total)

  def tell(self, text: str) -> None:
    """What is under way, beside the bar; nothing where there is none."""
    if self._bar:
      self._bar.update(self._task, numbers=text)

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """No bar meanwhile, where something else writes to the terminal."""
    if self._bar:
      self._bar.stop()
    try:
      yield
    finally:
      if self._bar:
        self._bar.start()

  def _line(self, done: float, total: int) -> None:
    now, share = time.monotonic(), done / max(total, 1)
    is_due = share - self._told_share >= 1 / _MOST_LINES and done
    if not is_due or now - self._told < self._every:
      return
    self._told, self._told_share = now, share
    seconds = (now - self._started) * (1 - share) / share
    left = datetime.timedelta(seconds=round(seconds))
    # Nobody may read it any more; the work goes on.
    with contextlib.suppress(OSError):
      self._console.print(
        f'{self._what} {int(done)}/{total}  {left} left',
        highlight=False,
        markup=False,
        soft_wrap=True,
      )


def _bar(
  console: rich.console.Console, *, is_gone: bool = False, bar_width: int = 40
) -> rich.progress.Progress:
  return rich.progress.Progress(
    rich.progress.TextColumn('{task.description}', markup=False),
    _CountColumn(table_column=rich.table.Column(no_wrap=True)),
    rich.progress.BarColumn(
      bar_width, table_column=rich.table.Column(min_width=6)
    ),
    _NumbersColumn(),
    _TimeColumn(table_column=rich.table.Column(no_wrap=True)),
    console=console,
    transient=is_gone,
  )


class _CountColumn(rich.progress.MofNCompleteColumn):
  """Nothing before the amount is known."""

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    if task.total is None:
      return rich.text.Text()
    return super().render(task)


class _NumbersColumn(rich.progress.ProgressColumn):
  """Cut off where the terminal is narrow, unlike the others."""

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    numbers = task.fields['numbers']
    return rich.text.Text(numbers, no_wrap=True, overflow='ellipsis')


class _TimeColumn(rich.progress.TimeRemainingColumn):
  """What remains; where that is not known yet, what has passed."""

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    if task.total is not None and task.time_remaining is not None:
      return super().render(task)
    passed = datetime.timedelta(seconds=int(task.elapsed or 0))
    return rich.text.Text(f'since {passed}', style='progress.elapsed')


def loss_text(loss: float) -> str:
  """A loss, short however large it is."""
  return f'{loss:.3f}' if abs(loss) < _LARGE else f'{loss:.2e}'


def _numbers(fields: dict[str, float | None]) -> str:
  patterns = {
    'loss': 'loss {}',
    'wer': 'WER {:.1%}',
    'clients_per_second': '{:.1f} clients/s',
    'times_real_time': '{:.1f} times real time',
    'epsilon': 'epsilon {:.3g}',
  }
  shown: dict[str, float | str | None] = dict(fields)
  loss = fields.get('loss')
  if loss is not None:
    shown['loss'] = loss_text(loss)
  return '  '.join(
    pattern.format(shown[name])
    for name, pattern in patterns.items()
    if name in shown
  )
