"""A report as Markdown, without what only a browser can do."""

import html
import pathlib
import re
from collections.abc import Iterator, Sequence

from fedjax_asr.report_pages import blocks, media, printed

# What means something in Markdown, wherever it is in a line.
_SPECIAL = re.compile(r'([\\`*_\[\]|~$])')
# What begins a list, a heading or a rule at the start of a line.
_OPENING = re.compile(r'^([-+#=]|\d+(?=[.)]( |$)))')


def text(report: blocks.Report, page: pathlib.Path) -> str:
  """The page, to be written to the path `page`: links are relative to that."""
  parts = [f'# {escaped(report.title)}']
  for section in report.sections:
    found = [*_parts(section.blocks, page, 3)]
    if found:
      parts += [f'## {escaped(section.title)}', *found]
  return '\n\n'.join(parts) + '\n'


def escaped(raw: str) -> str:
  """In one line, with nothing that a reader of Markdown or HTML acts on."""
  line = ' '.join(raw.split())
  line = _SPECIAL.sub(r'\\\1', html.escape(line, quote=False))
  return _OPENING.sub(_unopened, line)


def _unopened(found: re.Match[str]) -> str:
  """A number keeps its digits; its point is escaped."""
  text = found[0]
  return f'{text}\\' if text.isdigit() else f'\\{text}'


def _parts(
  found: Sequence[blocks.Block], page: pathlib.Path, level: int
) -> Iterator[str]:
  for block in found:
    match block:
      case blocks.Text(text=text):
        yield escaped(text)
      case blocks.Absent(reason=reason):
        yield f'> {escaped(reason)}'
      case blocks.Facts(rows=rows):
        yield '\n'.join(
          f'- {escaped(name)}: {escaped(value)}' for name, value in rows
        )
      case blocks.Verbatim(text=text):
        yield _fenced(text)
      case blocks.Table():
        yield from _table(block)
      case blocks.Picture(caption=caption, path=path):
        yield f'![{escaped(caption)}]({media.relative(path, page)})'
      case blocks.Compared(said=said, heard=heard):
        yield (
          f'- said: {escaped(_plain(said)) or "(nothing)"}\n'
          f'- heard: {escaped(_plain(heard)) or "(nothing)"}'
        )
      case blocks.Group() if block.is_printed:
        yield f'{"#" * level} {escaped(block.title)}'
        yield from _parts(block.blocks, page, level + 1)
      case blocks.Cards(groups=groups):
        yield from _parts(groups, page, level)
      case _:
        # Curves and sound are of browsers.
        continue


def _fenced(text: str) -> str:
  """In a fence longer than any that the text has."""
  runs = re.findall(r'`+', text)
  fence = '`' * max(3, 1 + max(map(len, runs), default=0))
  return f'{fence}\n{text}\n{fence}'


def _plain(pieces: Sequence[blocks.Piece]) -> str:
  return ''.join(piece.text for piece in pieces)


def _table(block: blocks.Table) -> Iterator[str]:
  columns, rows, caption = printed.table(block)
  yield escaped(caption)
  lines = [
    [escaped(column.label) for column in columns],
    ['--:' if column.is_number else '---' for column in columns],
    *([escaped(cell.text) for cell in row] for row in rows),
  ]
  yield '\n'.join(f'| {" | ".join(line)} |' for line in lines)
