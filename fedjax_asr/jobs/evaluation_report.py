"""What `evaluate` found, as JSON takes it and as a terminal shows it."""

import math
from typing import Any

import rich.console
import rich.table

from fedjax_asr import config
from fedjax_asr.decoding import bootstrap, evaluation, scores

_MAX_SPEAKERS = 20
_MAX_CONFUSIONS = 8
# What a report calls words.
_BETWEEN_SPACES, _CHARACTERS = 'between_spaces', 'characters'


def measured(
  result: evaluation.Evaluation, cfg: config.EvaluateConfig, seed: int
) -> dict[str, Any]:
  """Rates with their intervals, edits by kind, speakers and confusions."""
  transcripts = result.transcripts
  has_words = result.has_words
  counts = scores.errors(transcripts, has_words)
  speakers = [item.speaker for item in transcripts]
  worst = scores.worst_decile(result.by_speaker)
  words, characters = scores.confusions(
    transcripts, cfg.num_confusions, has_words
  )
  word_edits, character_edits = scores.edits(transcripts, has_words)
  return {
    'num_utterances': result.total.num_utterances,
    'num_speakers': len(result.by_speaker),
    'num_words': result.total.num_words,
    'words': _BETWEEN_SPACES if has_words else _CHARACTERS,
    'confidence': cfg.confidence,
    'num_resamples': cfg.num_resamples,
    'wer': _rate(counts.words, counts.num_words, speakers, cfg, seed),
    'cer': _rate(counts.characters, counts.num_characters, speakers, cfg, seed),
    'edits': {
      'words': word_edits._asdict(),
      'characters': character_edits._asdict(),
    },
    'loss': result.loss if math.isfinite(result.loss) else None,
    'worst_decile': worst._asdict(),
    'speakers': {
      name: score._asdict() for name, score in result.by_speaker.items()
    },
    'confusions': {
      'words': _listed(words),
      'characters': _listed(characters),
    },
  }


def _rate(errors, lengths, speakers, cfg, seed):
  options = cfg.num_resamples, cfg.confidence, seed
  intervals = {
    'by_utterance': bootstrap.by_unit(errors, lengths, *options),
    'by_speaker': bootstrap.by_cluster(errors, lengths, speakers, *options),
  }
  rate = {'rate': float(errors.sum() / lengths.sum())}
  return rate | {
    name: interval and interval._asdict()
    for name, interval in intervals.items()
  }


def _listed(mistakes):
  return {
    kind: [item._asdict() for item in items]
    for kind, items in mistakes._asdict().items()
  }


def show(report: dict[str, Any], console: rich.console.Console) -> None:
  """Tables of a report; the longest lists are cut, and say so."""
  console.print(_rates(report))
  if report['words'] == _CHARACTERS:
    console.print(
      'the alphabet has no space: each character counts as a word, and WER is '
      'CER'
    )
  worst = report['worst_decile']
  console.print(
    f'mean CTC loss {_number(report["loss"])} nats; worst tenth of speakers: '
    f'mean WER {worst["wer"]:.1%} ({", ".join(worst["speakers"])})'
  )
  console.print(_speakers(report['speakers']))
  for unit, found in report['confusions'].items():
    console.print(_confusions(unit, found, report['edits'][unit]))


def _number(value: float | None) -> str:
  return 'not finite' if value is None else f'{value:.3f}'


def _rates(report: dict[str, Any]) -> rich.table.Table:
  table = rich.table.Table(
    title=(
      f'{report["num_utterances"]} utterances, {report["num_words"]} words, '
      f'{report["num_speakers"]} speakers'
    )
  )
  confidence = f'{100 * report["confidence"]:g}% interval'
  table.add_column('')
  for name in ('rate', f'{confidence} by utterance', 'by speaker'):
    table.add_column(name, justify='right')
  has_words = report['words'] != _CHARACTERS
  for name in ('wer', 'cer') if has_words else ('cer',):
    rate = report[name]
    table.add_row(
      name.upper(),
      f'{rate["rate"]:.2%}',
      _interval(rate['by_utterance'], 'one utterance'),
      _interval(rate['by_speaker'], 'one speaker'),
    )
  return table


def _interval(interval: dict[str, float] | None, why_none: str) -> str:
  if interval is None:
    return f'none: {why_none}'
  return f'{interval["low"]:.2%} to {interval["high"]:.2%}'


def _speakers(by_speaker: dict[str, Any]) -> rich.table.Table:
  ranked = sorted(by_speaker, key=lambda name: (-by_speaker[name]['wer'], name))
  more = len(ranked) - _MAX_SPEAKERS
  table = rich.table.Table(
    title='speakers, the highest WER first',
    caption=f'and {more} more, in evaluation.json' if more > 0 else None,
  )
  table.add_column('speaker')
  for name in ('WER', 'CER', 'words', 'utterances'):
    table.add_column(name, justify='right')
  for name in ranked[:_MAX_SPEAKERS]:
    score = by_speaker[name]
    table.add_row(
      name,
      f'{score["wer"]:.1%}',
      f'{score["cer"]:.1%}',
      str(score['num_words']),
      str(score['num_utterances']),
    )
  return table


def _confusions(
  unit: str, found: dict[str, Any], edits: dict[str, int]
) -> rich.table.Table:
  """Each kind with how many there are in all, and its most frequent ones."""
  forms = {
    'substitutions': '{said} > {heard}',
    'deletions': '{said}',
    'insertions': '{heard}',
  }
  table = rich.table.Table(title=f'{unit}: errors, the most frequent first')
  for kind in forms:
    table.add_column(f'{edits[kind]} {kind}')
  cells = [
    [_cell(item, form) for item in found[kind][:_MAX_CONFUSIONS]]
    for kind, form in forms.items()
  ]
  for row in range(max(map(len, cells))):
    table.add_row(*(''.join(column[row : row + 1]) for column in cells))
  return table


def _cell(item: dict[str, Any], form: str) -> str:
  """A space would not be seen."""
  shown = {name: '␣' if item[name] == ' ' else item[name] for name in item}
  return f'{shown["times"]:>4}  {form.format(**shown)}'
