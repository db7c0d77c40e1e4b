"""Speakers and utterances of the last evaluation, and what is kept to hear."""

from collections.abc import Sequence
from typing import NamedTuple

from fedjax_asr.decoding import scores
from fedjax_asr.figures import drawn_run
from fedjax_asr.report_pages import blocks, edited_text, examples, heard, said

# On paper.
_PRINTED = 40


def rates(run: drawn_run.DrawnRun) -> blocks.Table:
  """WER and CER with their intervals."""
  found = heard.measured(run)
  rows = [
    [
      blocks.Cell(name),
      blocks.Cell(said.percent(rate.rate), rate.rate),
      blocks.Cell(said.interval(rate.by_speaker) or 'one speaker: none'),
      blocks.Cell(said.interval(rate.by_utterance) or 'one utterance: none'),
    ]
    for name, rate in (('WER', found.wer), ('CER', found.cer))
  ]
  return blocks.Table(
    name='rates',
    caption=(
      f'Error rates of {run.name} on '
      f'{said.count(found.num_utterances, "utterance")} of '
      f'{said.count(found.num_speakers, "speaker")}, with '
      f'{heard.CONFIDENCE:.0%} bootstrap intervals'
    ),
    columns=(
      blocks.Column('rate'),
      blocks.Column('value', True),
      blocks.Column('over speakers'),
      blocks.Column('over utterances'),
    ),
    rows=rows,
    is_sorted=False,
  )


def speakers(run: drawn_run.DrawnRun) -> blocks.Table:
  """Those with the highest WER first."""
  found = run.speakers['speakers']
  if not found:
    raise drawn_run.Missing(f'{run.files.speakers.name} has no speaker.')
  ranked = sorted(found.items(), key=lambda item: (-item[1]['wer'], item[0]))
  rows = [
    [
      blocks.Cell(name),
      blocks.Cell(said.percent(each['wer']), each['wer']),
      blocks.Cell(said.percent(each['cer']), each['cer']),
      blocks.Cell(f'{each["num_words"]:,}', each['num_words']),
      blocks.Cell(f'{each["num_utterances"]:,}', each['num_utterances']),
    ]
    for name, each in ranked
  ]
  return blocks.Table(
    name='speakers',
    caption=(
      f'{said.count(len(rows), "held-out speaker")} of {run.name}, after round '
      f'{run.speakers["round"]:,}, the highest WER first'
    ),
    columns=(
      blocks.Column('speaker'),
      *(
        blocks.Column(label, True)
        for label in ('WER', 'CER', 'words', 'utterances')
      ),
    ),
    rows=rows,
    searched='speaker',
    printed=_PRINTED,
  )


class _Spoken(NamedTuple):
  transcript: scores.Transcript
  example: examples.Example | None


def utterances(run: drawn_run.DrawnRun) -> blocks.Table:
  """All transcripts, and the examples that are none of these.

  Raises:
    Missing: there are neither.
  """
  rows = _spoken(run)
  words = heard.has_words(run)
  edits = edited_text.edited([each.transcript for each in rows], words)
  ranked = sorted(
    zip(rows, edits, strict=True),
    key=lambda pair: (-_or_none(pair[1].wer), pair[0].transcript.utterance),
  )
  seconds, sound = _columns(rows)
  return blocks.Table(
    name='utterances',
    caption=(
      f'{said.count(len(rows), "utterance")} of {run.name}, the highest WER '
      'first'
    ),
    columns=(
      *(
        blocks.Column(label)
        for label in ('utterance', 'speaker', 'said', 'heard')
      ),
      blocks.Column('WER', True),
      *seconds,
      *sound,
    ),
    rows=[
      _row(each, edited, len(seconds), len(sound)) for each, edited in ranked
    ],
    searched='utterance, speaker or word',
    printed=_PRINTED,
  )


def _columns(
  rows: Sequence[_Spoken],
) -> tuple[Sequence[blocks.Column], Sequence[blocks.Column]]:
  """Of seconds and of sound, none where no utterance has any."""
  kept = [each.example for each in rows if each.example]
  seconds = any(each.seconds is not None for each in kept)
  sound = any(each.audio for each in kept)
  return (
    [blocks.Column('seconds', True)] * seconds,
    [blocks.Column('sound')] * sound,
  )


def _or_none(value: float | None) -> float:
  return -1.0 if value is None else value


def _spoken(run: drawn_run.DrawnRun) -> list[_Spoken]:
  kept = _kept(run)
  try:
    found = [
      _Spoken(each, kept.pop(each.utterance, None)) for each in run.transcripts
    ]
  except drawn_run.Missing:
    if not kept:
      raise
    found = []
  others = [
    _Spoken(
      scores.Transcript(
        each.utterance, each.speaker, each.reference, each.hypothesis
      ),
      each,
    )
    for each in kept.values()
  ]
  if not found and not others:
    name = run.files.transcripts.name
    raise drawn_run.Missing(f'{name} has no utterance.')
  return found + others


def _kept(run: drawn_run.DrawnRun) -> dict[str, examples.Example]:
  try:
    return {each.utterance: each for each in examples.read(run)}
  except drawn_run.Missing:
    return {}


def _row(
  spoken: _Spoken,
  edited: edited_text.Edited,
  num_seconds: int,
  num_sounds: int,
) -> list[blocks.Cell]:
  """Of the columns `seconds` and `sound` there may be one or none."""
  item, example = spoken
  seconds = example.seconds if example else None
  return [
    blocks.Cell(item.utterance),
    blocks.Cell(item.speaker),
    blocks.Cell(item.reference, pieces=edited.said),
    blocks.Cell(item.hypothesis or '(nothing)', pieces=edited.heard),
    blocks.Cell(said.percent(edited.wer), edited.wer),
    *[blocks.Cell(said.number(seconds, '.1f'), seconds)] * num_seconds,
    *[_sound(example)] * num_sounds,
  ]


def _sound(example: examples.Example | None) -> blocks.Cell:
  if example is None or example.audio is None:
    return blocks.Cell(said.NONE, 0)
  if example.role:
    return blocks.Cell('above', 1, said_above=anchor(example))
  clip = blocks.Clip(example.utterance, example.audio, rank=2)
  return blocks.Cell('', 1, clip=clip)


def anchor(example: examples.Example) -> str:
  """Of the card of an example that has a role."""
  name = f'{example.role} {example.utterance}'
  return f'hear-{name.encode(errors="backslashreplace").hex()}'


def cards(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """Examples that stand for the best, the middle and the worst.

  Raises:
    Missing: the run kept none.
  """
  chosen = [each for each in examples.read(run) if each.role]
  if not chosen:
    raise drawn_run.Missing(
      f'{run.files.example_records.name} has no utterance with a role.'
    )
  chosen.sort(key=lambda each: (_place(each.role), each.utterance))
  edits = edited_text.edited(
    [
      scores.Transcript(
        each.utterance, each.speaker, each.reference, each.hypothesis
      )
      for each in chosen
    ],
    heard.has_words(run),
  )
  made = [
    _card(each, edited) for each, edited in zip(chosen, edits, strict=True)
  ]
  return [blocks.Cards(made)]


def _place(role: str) -> int:
  known = examples.ROLES
  return known.index(role) if role in known else len(known)


def _card(
  example: examples.Example, edited: edited_text.Edited
) -> blocks.Group:
  title = f'{example.role}: {example.utterance}'
  facts = (
    ('speaker', example.speaker),
    ('group', example.group),
    ('seconds', said.number(example.seconds, '.1f')),
    ('WER', said.percent(example.wer)),
    ('CER', said.percent(example.cer)),
  )
  label = f'recording of {example.utterance}'
  sound = (
    blocks.Clips([blocks.Clip(label, example.audio)])
    if example.audio
    else blocks.Absent('Its sound was not kept.')
  )
  said_and_heard = blocks.Compared(edited.said, edited.heard)
  return blocks.Group(
    title,
    [
      sound,
      said_and_heard,
      blocks.Facts([each for each in facts if each[1]]),
    ],
    anchor=anchor(example),
  )
