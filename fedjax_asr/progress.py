"""How far a run is, on a terminal as a bar and elsewhere as lines."""

import datetime
import math
import time
from typing import Any

import rich.console
import rich.progress

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
    self._bar = _bar(self._console, unit) if is_terminal else None
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
  ) -> None:
    """One more round is done; a number left out keeps its last value."""
    fields = {
      'loss': loss,
      'wer': wer,
      'clients_per_second': clients_per_second,
      'times_real_time': times_real_time,
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


def _bar(console: rich.console.Console, unit: str) -> rich.progress.Progress:
  return rich.progress.Progress(
    rich.progress.TextColumn(unit),
    rich.progress.MofNCompleteColumn(),
    rich.progress.BarColumn(),
    rich.progress.TextColumn('{task.fields[numbers]}', markup=False),
    rich.progress.TimeRemainingColumn(),
    console=console,
  )


def loss_text(loss: float) -> str:
  """A loss, short however large it is."""
  return f'{loss:.3f}' if abs(loss) < _LARGE else f'{loss:.2e}'


def _numbers(fields: dict[str, float | None]) -> str:
  patterns = {
    'loss': 'loss {}',
    'wer': 'WER {:.1%}',
    'clients_per_second': '{:.1f} clients/s',
    'times_real_time': '{:.1f} times real time',
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
