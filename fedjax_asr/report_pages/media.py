"""Pictures and sound: inside of a page, or beside it where they are large."""

import base64
import os
import pathlib
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from fedjax_asr.figures import page_image
from fedjax_asr.report_pages import blocks

_TYPES = {
  '.mp3': 'audio/mpeg',
  '.ogg': 'audio/ogg',
  '.oga': 'audio/ogg',
  '.opus': 'audio/ogg',
  '.flac': 'audio/flac',
  '.wav': 'audio/wav',
  '.png': 'image/png',
}


class Medium(NamedTuple):
  """A file that a page shows. Those of a low rank are embedded first."""

  path: pathlib.Path
  rank: int
  read: Callable[[], bytes]


def of_blocks(found: Iterable[blocks.Block]) -> list[Medium]:
  """All pictures and clips, each once; pictures before most clips."""
  media = {}
  for medium in _each(found):
    kept = media.get(medium.path)
    if kept is None or medium.rank < kept.rank:
      media[medium.path] = medium
  return list(media.values())


def _each(found: Iterable[blocks.Block]):
  for block in found:
    if isinstance(block, blocks.Picture):
      yield Medium(block.path, 0, lambda p=block.path: page_image.smaller(p))
    elif isinstance(block, blocks.Clips):
      yield from map(_clip, block.clips)
    elif isinstance(block, blocks.Table):
      for row in block.rows:
        yield from (_clip(cell.clip) for cell in row if cell.clip)


def _clip(clip: blocks.Clip) -> Medium:
  return Medium(clip.path, clip.rank, clip.path.read_bytes)


def sources(
  media: Iterable[Medium], page: pathlib.Path, budget: int
) -> Mapping[pathlib.Path, str]:
  """The address of each file: a data URI while the `budget` of bytes lasts, by
  rank and then in order, and for the rest a path relative to the page.

  A file that is too large for what is left does not end it for smaller ones.
  One that cannot be read is not there.
  """
  found = {}
  for medium in sorted(media, key=lambda each: each.rank):
    try:
      # What is read is at most as large as the file, unless that is tiny.
      is_small = _encoded_size(medium.path.stat().st_size) <= budget
      uri = _data_uri(medium) if is_small or medium.rank == 0 else ''
    except OSError:
      continue
    if uri and len(uri) <= budget:
      budget -= len(uri)
      found[medium.path] = uri
    else:
      found[medium.path] = relative(medium.path, page)
  return found


def relative(path: pathlib.Path, page: pathlib.Path) -> str:
  """From the folder of a page, as an address."""
  near = os.path.relpath(path, page.parent).replace(os.sep, '/')
  # Names that are not UTF-8 keep their bytes.
  return urllib.parse.quote(os.fsencode(near))


def _encoded_size(size: int) -> int:
  return 4 * -(-size // 3)


def _data_uri(medium: Medium) -> str:
  kind = _TYPES.get(medium.path.suffix.lower(), 'application/octet-stream')
  return f'data:{kind};base64,{base64.b64encode(medium.read()).decode()}'
