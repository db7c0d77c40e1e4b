"""How every figure looks: on a transparent ground, for light and dark pages."""

import bisect
import pathlib
from typing import Any

import matplotlib.figure
import matplotlib.font_manager
import matplotlib.textpath
import matplotlib.ticker

from fedjax_asr import run_error

# What figures are laid on.
PAGES = ('#ffffff', '#0d1117')
# Colours and greys of middle lightness: each has a contrast of at least 3:1
# with either.
BLUE = '#2f81f7'
ORANGE = '#d9730d'
GREEN = '#2da44e'
INK = '#768390'
# Told apart with any kind of colour blindness: at least 25 between any two in
# CIE Lab, as Machado et al. (2009) simulate it.
DISTINCT = (BLUE, ORANGE, '#775577', '#889977', '#cc0033', '#7722ff')
_DASHES: tuple[Any, ...] = (
  '-',
  (0, (6, 2)),
  (0, (2, 1.5)),
  (0, (6, 2, 1.5, 2)),
  (0, (6, 2, 1.5, 2, 1.5, 2)),
)
_MARKERS = 'osD^vXP'

# It comes with matplotlib.
_FAMILY = 'DejaVu Sans'
# Asked, in this order, for the letters that it lacks, where they are installed.
OTHER_FAMILIES = (
  'Noto Sans',
  'Noto Sans Devanagari',
  'Noto Sans Bengali',
  'Noto Sans Tamil',
  'Noto Sans Thai',
  'Noto Sans Ethiopic',
  'Noto Sans CJK SC',
  'Noto Sans CJK JP',
  'Noto Sans CJK KR',
  'WenQuanYi Zen Hei',
  'IPAGothic',
  'Lohit Devanagari',
  'Nirmala UI',
  'Microsoft YaHei',
  'Malgun Gothic',
  'Arial Unicode MS',
  'Unifont',
)
DPI = 300
# Inches: half of a page as a browser shows one, so that text is as large there.
WIDTH = 5.0

_RC: dict[Any, Any] = {
  'axes.edgecolor': INK,
  'axes.labelcolor': INK,
  'axes.titlecolor': INK,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'axes.titlesize': 12,
  'axes.titlelocation': 'left',
  'axes.grid': True,
  'axes.axisbelow': True,
  'font.family': _FAMILY,
  'font.size': 12,
  'grid.color': INK,
  'grid.alpha': 0.25,
  'grid.linewidth': 0.6,
  'legend.fontsize': 11,
  'legend.frameon': False,
  'legend.labelcolor': INK,
  'lines.linewidth': 1.8,
  'lines.markersize': 4,
  'lines.solid_capstyle': 'round',
  'text.color': INK,
  # Of a PDF: letters that can be found and selected.
  'pdf.fonttype': 42,
  'xtick.color': INK,
  'ytick.color': INK,
}


def context() -> Any:
  """A `with` block in which matplotlib draws in the house style."""
  return matplotlib.rc_context({**_RC, 'font.family': list(families())})


def families() -> tuple[str, ...]:
  known = {each.name for each in matplotlib.font_manager.fontManager.ttflist}
  return (_FAMILY, *(each for each in OTHER_FAMILIES if each in known))


def line(index: int, num_above: int = 0) -> dict[str, Any]:
  """Colour, dashes, marker and width of a line among others.

  All of the first six differ in colour, and no two of the first 200 in all.
  What others are drawn above is wider, so that it is seen where they coincide.
  """
  above = min(num_above, 3)
  return {
    'color': DISTINCT[index % len(DISTINCT)],
    'linestyle': _DASHES[index % len(_DASHES)],
    'marker': _MARKERS[index % len(_MARKERS)],
    'linewidth': 1.6 + 0.9 * above,
    'markersize': 4 + 1.8 * above,
  }


def drawable(text: str) -> str:
  """With the code, as U+0928, of each character that no font has."""
  if text.isascii():
    return text
  fonts = [
    matplotlib.font_manager.get_font(matplotlib.font_manager.findfont(family))
    for family in families()
  ]
  return ''.join(
    each
    if any(font.get_char_index(ord(each)) for font in fonts)
    else f'U+{ord(each):04X}'
    for each in text
  )


def width(text: str, size: float) -> float:
  """Inches that it takes in letters of so many points."""
  font = matplotlib.font_manager.FontProperties(
    family=list(families()), size=size
  )
  points, _, _ = matplotlib.textpath.text_to_path.get_text_width_height_descent(
    text, font, ismath=False
  )
  return points / 72


def fitted(text: str, inches: float, size: float) -> str:
  """Drawable, and cut off where it would be wider than so many inches.

  size: of the letters, in points.
  """
  # No letter is much narrower than a tenth of its height.
  text = drawable(text)[: int(10 * 72 * inches / size)]
  if width(text, size) <= inches:
    return text
  length = bisect.bisect_left(
    range(len(text)),
    True,
    key=lambda count: width(f'{text[:count]}\u2026', size) > inches,
  )
  return f'{text[: max(length - 1, 0)]}\u2026'


def count_along(axes: Any, low: float, high: float) -> None:
  """Ticks of x at whole numbers; a single one stands in the middle."""
  axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(7, integer=True))
  if high - low < 1:
    axes.set_xlim(low - 1, high + 1)


def save(figure: matplotlib.figure.Figure, path: pathlib.Path) -> pathlib.Path:
  """Writes a PNG of 300 DPI, or a PDF, by the name, with a transparent ground.

  Raises:
    RunError: the file cannot be written.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    form = path.suffix.removeprefix('.')
    figure.savefig(path, dpi=DPI, transparent=True, format=form)
  except OSError as error:
    raise run_error.RunError(f'{path}: {error.strerror}.') from error
  return path
