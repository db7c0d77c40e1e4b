"""Tables as they fit on paper."""

from collections.abc import Sequence

from fedjax_asr.report_pages import blocks

Rows = Sequence[Sequence[blocks.Cell]]


def table(block: blocks.Table) -> tuple[Sequence[blocks.Column], Rows, str]:
  """Columns, rows and caption: without sound, and the first rows of a long one.

  The caption says how many there are.
  """
  is_kept = [
    not any(row[index].clip or row[index].said_above for row in block.rows)
    for index in range(len(block.columns))
  ]
  rows = block.rows[: block.printed or None]
  caption = block.caption
  if len(rows) < len(block.rows):
    caption += f' (the first {len(rows):,} of {len(block.rows):,})'
  return (
    _of(block.columns, is_kept),
    [_of(row, is_kept) for row in rows],
    caption,
  )


def _of(values: Sequence, is_kept: Sequence[bool]) -> list:
  return [each for each, keeps in zip(values, is_kept, strict=True) if keeps]
