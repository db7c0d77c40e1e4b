"""Where labels of points go, so that they neither touch nor hide a point."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fedjax_asr.figures import style

_SIZE = 9
# Of an average letter of the house font, as parts of its size.
_LETTER_WIDTH, _LINE_HEIGHT = 0.62, 1.25
# A point and its edge, in points of 1/72 inch.
_RADIUS = 5.0
_RINGS = (8, 18, 28, 40, 52)
# From which distance on a text needs a line to its point.
_NEAR = 10.0


Spot = tuple[float, float]


class _Box(NamedTuple):
  """In points of 1/72 inch."""

  left: float
  bottom: float
  right: float
  top: float

  def meets(self, other: '_Box') -> float:
    """Area in common."""
    width = min(self.right, other.right) - max(self.left, other.left)
    height = min(self.top, other.top) - max(self.bottom, other.bottom)
    return max(width, 0.0) * max(height, 0.0)

  def distance(self, x: float, y: float) -> float:
    """From a point outside, to the nearest edge."""
    right = max(self.left - x, x - self.right, 0.0)
    up = max(self.bottom - y, y - self.top, 0.0)
    return float(np.hypot(right, up))


def place(
  axes: Any,
  points: Sequence[Spot],
  texts: Sequence[str],
  lines: Sequence[Sequence[Spot]] = (),
) -> None:
  """Writes a text beside each point, the nearest place that is free.

  Not on other points, other texts and these `lines` either, if there is room.
  Limits of the axes and the layout must be settled. A text that is moved away
  from its point is joined to it by a line.
  """
  scale = 72.0 / axes.figure.dpi
  spots = [axes.transData.transform(point) * scale for point in points]
  extent = axes.get_window_extent()
  frame = _Box(*(edge * scale for edge in extent.extents))
  taken = [
    _Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in spots
  ]
  taken += _along(axes, lines, scale)
  for point, (x, y), text in zip(points, spots, texts, strict=True):
    right, up = min(
      _offsets(text), key=lambda each: _cost(x, y, each, text, taken, frame)
    )
    box = _box(x + right, y + up, text)
    taken.append(box)
    arrow = {'arrowstyle': '-', 'color': style.INK, 'lw': 0.6, 'shrinkB': 4}
    axes.annotate(
      text,
      point,
      (right, up),
      textcoords='offset points',
      ha='left',
      va='bottom',
      fontsize=_SIZE,
      arrowprops=arrow if box.distance(x, y) > _NEAR else None,
    )


def _along(axes, lines, scale) -> list[_Box]:
  """Small boxes in a row."""
  boxes = []
  for start, stop in lines:
    ends = [axes.transData.transform(spot) * scale for spot in (start, stop)]
    length = float(np.hypot(*(ends[1] - ends[0])))
    for part in np.linspace(0, 1, int(length / 3) + 2):
      x, y = ends[0] + part * (ends[1] - ends[0])
      boxes.append(_Box(x - 1.5, y - 1.5, x + 1.5, y + 1.5))
  return boxes


def _offsets(text: str) -> list[tuple[float, float]]:
  """Of a text's lower left corner, the nearest first."""
  width = len(text) * _LETTER_WIDTH * _SIZE
  height = _LINE_HEIGHT * _SIZE
  found = []
  for ring in _RINGS:
    found += [
      (ring, -height / 2),
      (-ring - width, -height / 2),
      (-width / 2, ring - 2),
      (-width / 2, 2 - ring - height),
      (ring - 4, ring - 4),
      (4 - ring - width, ring - 4),
      (ring - 4, 4 - ring - height),
      (4 - ring - width, 4 - ring - height),
    ]
  return found


def _box(left: float, bottom: float, text: str) -> _Box:
  return _Box(
    left,
    bottom,
    left + len(text) * _LETTER_WIDTH * _SIZE,
    bottom + _LINE_HEIGHT * _SIZE,
  )


def _cost(x, y, offset, text, taken, frame) -> float:
  """Area that meets others, or is outside; among equals, how far it is."""
  box = _box(x + offset[0], y + offset[1], text)
  outside = (box.right - box.left) * (box.top - box.bottom) - box.meets(frame)
  far = abs(offset[0] + len(text) * _LETTER_WIDTH * _SIZE / 2) + abs(offset[1])
  return 10 * (sum(box.meets(each) for each in taken) + 4 * outside) + far
