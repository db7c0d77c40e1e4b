"""What was said above what was heard, word above word, with what differs.

Not by colour alone: what was heard for something else is in brackets, what was
not heard is struck out, and what was not said is underlined.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from fedjax_asr.figures import style

SUBSTITUTED, DELETED, INSERTED = style.ORANGE, style.DISTINCT[4], style.BLUE
LINE = 0.42  # Inches from one pair of rows to the next.
_SIZE = 9.0  # Points.
_SMALL = 8.0
_GAP = 0.08  # Inches between words.
_WORD = 28  # Characters of one that are shown.
_MOST_LINES = 6
_POINTS = 72.0
# Between a pair's rows, and from the top to the first.
_ROW, _TOP = 0.16, 0.08


class Cell(NamedTuple):
  """A word that was said above what was heard for it, at `x` inches."""

  said: str
  heard: str
  x: float
  width: float


class Text(NamedTuple):
  """Lines of cells; `num_left` words more are not shown."""

  lines: list[list[Cell]]
  num_left: int

  @property
  def height(self) -> float:
    """Inches."""
    return LINE * (max(len(self.lines), 1) + (self.num_left > 0))


def laid_out(pairs: Sequence[tuple[str, str]], inches: float) -> Text:
  """Pairs in lines of so many inches; from right to left where words are."""
  lines: list[list[Cell]] = [[]]
  x = 0.0
  for index, (said, heard) in enumerate(pairs):
    said, heard = _marked(said, heard)
    size = max(style.width(said, _SIZE), style.width(heard, _SIZE))
    if x and x + size > inches:
      if len(lines) == _MOST_LINES:
        return Text(_turned(lines, pairs, inches), len(pairs) - index)
      lines.append([])
      x = 0.0
    lines[-1].append(Cell(said, heard, x, size))
    x += size + _GAP
  return Text(_turned(lines, pairs, inches), 0)


def draw(axes: Any, text: Text, inches: float) -> None:
  """In axes of so many inches by `text.height`."""
  axes.set_axis_off()
  axes.set_xlim(0, inches)
  axes.set_ylim(text.height, 0)
  for index, line in enumerate(text.lines):
    top = index * LINE + _TOP
    for cell in line:
      _draw_cell(axes, cell, top)
    for name, y in (('said', top), ('heard', top + _ROW)):
      axes.text(-_GAP, y, name, fontsize=_SMALL, va='center', ha='right')
  if text.num_left:
    said = f'\u2026 and {text.num_left:,} words more'
    axes.text(0, len(text.lines) * LINE + _TOP, said, fontsize=_SIZE, va='top')


def key(axes: Any, x: float, y: float) -> None:
  """What the marks say, in axes in inches whose y points down."""
  for word, said, color in (
    ('[word]', 'heard for another', SUBSTITUTED),
    ('word', 'not heard', DELETED),
    ('word', 'not said', INSERTED),
  ):
    _word(axes, word, x, y, color)
    x += style.width(word, _SIZE) + 0.06
    axes.text(x, y, said, fontsize=_SIZE, va='center')
    x += style.width(said, _SIZE) + 0.25


def _marked(said: str, heard: str) -> tuple[str, str]:
  is_substituted = said and heard and said != heard
  said, heard = (_shortened(style.drawable(each)) for each in (said, heard))
  return (f'[{said}]', f'[{heard}]') if is_substituted else (said, heard)


def _shortened(word: str) -> str:
  return word if len(word) <= _WORD else f'{word[: _WORD - 1]}\u2026'


def _draw_cell(axes: Any, cell: Cell, top: float) -> None:
  color = style.INK
  if not cell.heard:
    color = DELETED
  elif not cell.said:
    color = INSERTED
  elif cell.said != cell.heard or cell.said.startswith('['):
    color = SUBSTITUTED
  for word, y in ((cell.said, top), (cell.heard, top + _ROW)):
    if word:
      _word(axes, word, cell.x, y, color)


def _word(axes: Any, word: str, x: float, y: float, color: str) -> None:
  axes.text(
    x, y, word, fontsize=_SIZE, color=color, va='center', parse_math=False
  )
  mark = {DELETED: 0.0, INSERTED: 0.075}.get(color)
  if mark is not None:
    ends = (x, x + style.width(word, _SIZE))
    axes.plot(ends, (y + mark,) * 2, color=color, linewidth=0.9)


def _turned(
  lines: list[list[Cell]], pairs: Sequence[tuple[str, str]], inches: float
) -> list[list[Cell]]:
  """From the right, where most of what has a direction is read from there."""
  kinds = [
    unicodedata.bidirectional(each)
    for pair in pairs
    for word in pair
    for each in word
  ]
  num_right = sum(each in ('R', 'AL') for each in kinds)
  if num_right <= kinds.count('L'):
    return lines
  return [
    [cell._replace(x=inches - cell.x - cell.width) for cell in line]
    for line in lines
  ]
