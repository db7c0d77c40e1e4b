"""The commands of a Markdown page, in order.

They stand in fenced blocks of `sh`. A comment on the line before a block,
`<!-- needs: gpu -->`, says what the reader has to bring.
"""

import re
from typing import NamedTuple

NEEDS = ('gpu', 'librispeech', 'manifest', 'network', 'recording')

_FENCE = '```'
_NEEDS = re.compile(r'<!-- needs: (.+) -->')


class Command(NamedTuple):
  """One command of the page, of one line: continued lines are joined.

  number: its place among all of the page, from 1.
  line: of the page, where its block begins.
  needs: '' or one of NEEDS.
  """

  number: int
  line: int
  needs: str
  text: str


def commands(page: str) -> list[Command]:
  """All commands of a page; comments and empty lines are none.

  Raises:
    ValueError: a block is not closed, or needs what is not in NEEDS.
  """
  found: list[Command] = []
  for line, needs, block in _blocks(page):
    for text in block.replace('\\\n', ' ').splitlines():
      text = ' '.join(text.split())
      if text and not text.startswith('#'):
        found.append(Command(len(found) + 1, line, needs, text))
  return found


def _blocks(page: str) -> list[tuple[int, str, str]]:
  """The line, needs and text of each block of `sh`."""
  lines = page.splitlines()
  found, opened = [], None
  for index, line in enumerate(lines):
    if not line.startswith(_FENCE):
      continue
    if opened is None:
      opened = index
      continue
    if lines[opened].strip() == f'{_FENCE}sh':
      needs = _needs(lines[opened - 1], opened) if opened else ''
      text = '\n'.join(lines[opened + 1 : index])
      found.append((opened + 1, needs, text))
    opened = None
  if opened is not None:
    raise ValueError(f'line {opened + 1}: a block that is not closed.')
  return found


def _needs(line: str, number: int) -> str:
  marked = _NEEDS.fullmatch(line.strip())
  if not marked:
    return ''
  if marked[1] not in NEEDS:
    raise ValueError(
      f'line {number}: needs {marked[1]!r}; want one of {", ".join(NEEDS)}.'
    )
  return marked[1]
