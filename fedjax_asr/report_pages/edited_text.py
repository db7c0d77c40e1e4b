"""What was said and what was heard, with the words marked that differ."""

from collections.abc import Sequence
from typing import NamedTuple

import jiwer

from fedjax_asr.decoding import scores
from fedjax_asr.report_pages import blocks


class Edited(NamedTuple):
  """Pieces that make up the texts; wer: None where nothing was said."""

  said: Sequence[blocks.Piece]
  heard: Sequence[blocks.Piece]
  wer: float | None


def edited(
  transcripts: Sequence[scores.Transcript], has_words: bool
) -> list[Edited]:
  """Of each transcript, by an alignment of fewest edits.

  Characters stand for words where `has_words` is False.
  """
  parts = str.split if has_words else list
  rows = [
    (parts(each.reference), parts(each.hypothesis)) for each in transcripts
  ]
  # jiwer refuses what says nothing.
  spoken = [row for row in rows if row[0]]
  if not spoken:
    return [_unsaid(heard, has_words) for _, heard in rows]
  found = jiwer.process_words(
    [_PARTED.join(said) for said, _ in spoken],
    [_PARTED.join(heard) for _, heard in spoken],
    reference_transform=_PARTS,
    hypothesis_transform=_PARTS,
  )
  alignments = iter(found.alignments)
  return [
    _marked(said, heard, next(alignments), has_words)
    if said
    else _unsaid(heard, has_words)
    for said, heard in rows
  ]


# Between units: a character of its own, so that a unit may be a space.
_PARTED = '\x1f'
_PARTS = jiwer.Compose([jiwer.ReduceToListOfListOfWords(_PARTED)])


def _unsaid(heard: Sequence[str], has_words: bool) -> Edited:
  text = (' ' if has_words else '').join(heard)
  pieces = (blocks.Piece(text, blocks.Mark.ADDED),) if text else ()
  return Edited((), pieces, None)


def _marked(
  said: Sequence[str],
  heard: Sequence[str],
  chunks: Sequence[jiwer.AlignmentChunk],
  has_words: bool,
) -> Edited:
  between = ' ' if has_words else ''
  lost, added = blocks.Mark.LOST, blocks.Mark.ADDED
  pieces: tuple[list[blocks.Piece], list[blocks.Piece]] = ([], [])
  edits = 0
  for chunk in chunks:
    before = said[chunk.ref_start_idx : chunk.ref_end_idx]
    after = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
    is_same = chunk.type == 'equal'
    edits += 0 if is_same else max(len(before), len(after))
    for found, words, mark in zip(
      pieces, (before, after), (lost, added), strict=True
    ):
      if words:
        if found and between:
          found.append(blocks.Piece(between, blocks.Mark.SAME))
        mark = blocks.Mark.SAME if is_same else mark
        found.append(blocks.Piece(between.join(words), mark))
  return Edited(*pieces, edits / len(said))
