"""Figures as a page shows them: of fewer pixels than on paper.

  python -m fedjax_asr.figures.page_image FOLDER FIGURE.png [FIGURE.png ...]

Writes each, smaller and by the same name, into the folder.
"""

import io
import pathlib
import sys
from collections.abc import Sequence

import PIL.Image

from fedjax_asr import run_error
from fedjax_asr.figures import by_command, style

# Pixels of a page for an inch of a figure: a wide one fills a column of text.
_SHOWN = 110
# Of the picture: screens have more than one for each pixel of a page.
_DPI = 165


def main(argv: Sequence[str]) -> int:
  return by_command.run(argv, 2, __doc__, _copied)


def _copied(paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
  """Into the first, the others."""
  written = []
  for path in paths[1:]:
    written.append(paths[0] / path.name)
    try:
      written[-1].write_bytes(smaller(path))
    except OSError as error:
      raise run_error.RunError(f'{path}: {error}.') from error
  return written


def shown_size(path: pathlib.Path) -> tuple[int, int]:
  """Width and height on a page, in its pixels; of what is no image, 0 and 0."""
  try:
    with PIL.Image.open(path) as image:
      return _scaled(image, _SHOWN)
  except OSError:
    return 0, 0


def smaller(path: pathlib.Path) -> bytes:
  """A PNG of one that `style.save` wrote, with its transparency.

  Raises:
    OSError: it cannot be read, or is no image.
  """
  with PIL.Image.open(path) as image:
    resized = image.convert('RGBA').resize(_scaled(image, _DPI))
  # A quarter of the bytes, and on a screen the same.
  resized = resized.quantize(
    256, PIL.Image.Quantize.FASTOCTREE, dither=PIL.Image.Dither.NONE
  )
  content = io.BytesIO()
  resized.save(content, 'PNG', optimize=True)
  return min(content.getvalue(), path.read_bytes(), key=len)


def _scaled(image: PIL.Image.Image, dpi: int) -> tuple[int, int]:
  return (
    max(1, round(image.width * dpi / style.DPI)),
    max(1, round(image.height * dpi / style.DPI)),
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
