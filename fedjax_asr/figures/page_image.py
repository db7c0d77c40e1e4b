"""Figures as a page shows them: of fewer pixels than on paper."""

import io
import pathlib

import PIL.Image

# Twice of what a column of text is wide, for screens with small pixels.
_WIDTH = 1600


def smaller(path: pathlib.Path, width: int = _WIDTH) -> bytes:
  """A PNG at most so many pixels wide, with the transparency of the figure.

  Raises:
    OSError: it cannot be read, or is no image.
  """
  with PIL.Image.open(path) as image:
    if image.width <= width:
      return path.read_bytes()
    height = round(image.height * width / image.width)
    resized = image.convert('RGBA').resize((width, height))
  content = io.BytesIO()
  resized.save(content, 'PNG', optimize=True)
  return min(content.getvalue(), path.read_bytes(), key=len)
