"""What a section of a report is made of, in whatever form it is written.

Text is as it was found: each writer escapes it in its own way.
"""

import enum
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Mark(enum.StrEnum):
  """What became of words between what was said and what was heard."""

  SAME = 'same'
  # Said, and not heard so.
  LOST = 'lost'
  # Heard, and not said so.
  ADDED = 'added'


class Piece(NamedTuple):
  """Words in a row that have one mark."""

  text: str
  mark: Mark


class Clip(NamedTuple):
  """A file to listen to. Those of a low rank are embedded first."""

  label: str
  path: pathlib.Path
  rank: int = 1


class Picture(NamedTuple):
  """path: a PNG, whose smaller version is shown; pdf: the same to print.

  missing: why it says only that, '' of one that is whole.
  """

  name: str
  caption: str
  path: pathlib.Path
  pdf: pathlib.Path | None = None
  missing: str = ''


class Text(NamedTuple):
  text: str


class Absent(NamedTuple):
  """In the place of something: why it is not there."""

  reason: str


class Facts(NamedTuple):
  """Names and values; `is_headline`: they are shown large."""

  rows: Sequence[tuple[str, str]]
  is_headline: bool = False


class Verbatim(NamedTuple):
  """Text that is copied as it is, such as a command."""

  text: str


class Cell(NamedTuple):
  """Of a table. What is sorted by: `value` where there is one, or the text.

  pieces: the text with marks, where it has any. said_above: of a clip whose
  player is elsewhere on the page, the name of that place.
  """

  text: str
  value: float | None = None
  pieces: Sequence[Piece] = ()
  clip: Clip | None = None
  said_above: str = ''


class Column(NamedTuple):
  label: str
  is_number: bool = False


class Table(NamedTuple):
  """Rows in the order that they are to be read first.

  is_sorted: a reader may want another order. searched: what a reader looks for,
  '' of a table too short for that. printed: so many rows go on paper; 0 are
  all.
  """

  name: str
  caption: str
  columns: Sequence[Column]
  rows: Sequence[Sequence[Cell]]
  is_sorted: bool = True
  searched: str = ''
  printed: int = 0


class Line(NamedTuple):
  """values: one for each round of the chart; None where there is none."""

  label: str
  color: str
  values: Sequence[float | None]
  dash: Sequence[int] = ()
  # Measured now and then: points are drawn, and lines over what is between.
  is_sparse: bool = False


class Chart(NamedTuple):
  """note: what the curves cannot show, such as values that are not finite."""

  name: str
  title: str
  rounds: Sequence[float]
  lines: Sequence[Line]
  is_log: bool = False
  is_rate: bool = False
  note: str = ''


class Charts(NamedTuple):
  charts: Sequence[Chart]


class Clips(NamedTuple):
  """Players beside one another."""

  clips: Sequence[Clip]


class Compared(NamedTuple):
  """What was said above what was heard, with marks."""

  said: Sequence[Piece]
  heard: Sequence[Piece]


class Group(NamedTuple):
  """Blocks under a title.

  anchor: what links to it call it. is_folded: a browser shows them when asked.
  is_printed: whether they are on paper, too.
  """

  title: str
  blocks: Sequence[Any]
  anchor: str = ''
  is_folded: bool = False
  is_printed: bool = True


class Cards(NamedTuple):
  """Groups beside one another where there is room."""

  groups: Sequence[Group]


Block = (
  Text
  | Absent
  | Facts
  | Verbatim
  | Table
  | Charts
  | Picture
  | Clips
  | Compared
  | Group
  | Cards
)


class Section(NamedTuple):
  name: str
  title: str
  blocks: Sequence[Block]


class Report(NamedTuple):
  """A run in sections."""

  title: str
  sections: Sequence[Section]


def inside(blocks: Sequence[Any]) -> Iterator[Any]:
  """Yields all blocks, those of groups too."""
  for block in blocks:
    yield block
    if isinstance(block, Group):
      yield from inside(block.blocks)
    elif isinstance(block, Cards):
      yield from inside(block.groups)
