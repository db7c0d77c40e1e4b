"""An attack: scores by method, and what was reconstructed, to be heard."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fedjax_asr import config, json_file
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.decoding import scores
from fedjax_asr.figures import dashboard, drawn_run
from fedjax_asr.report_pages import blocks, edited_text, said, summary

Record = dict[str, Any]

# Of a record, what is shown of how right it is.
_SCORES = (
  ('snr_db', 'SNR', '{:.1f} dB'),
  ('shape_snr_db', 'SNR of the shape alone', '{:.1f} dB'),
  ('determined_snr_db', 'SNR of what is determined', '{:.1f} dB'),
  ('correlation', 'correlation', '{:.3f}'),
  ('mcd_db', 'mel-cepstral distortion', '{:.2f} dB'),
  ('public_snr_db', 'SNR of a guess from public speech', '{:.1f} dB'),
  ('cer', 'CER of what is heard in it', '{:.1%}'),
  ('original_cer', 'CER of what is heard in the original', '{:.1%}'),
)


def records(run: drawn_run.DrawnRun) -> list[Record]:
  """Of `attack.json`.

  Raises:
    Missing: there is none, or none yet.
  """
  file = run.files.attack
  try:
    found = json_file.read(file)
  except config.UserError as error:
    raise drawn_run.Missing(str(error)) from error
  if not found:
    raise drawn_run.Missing(f'{file.name} has no score yet.')
  return [score_summary.read(record) for record in found]


def opening(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  try:
    found = records(run)
  except drawn_run.Missing as missing:
    return [blocks.Absent(str(missing)), *summary.of_attack(run, [])]
  return summary.of_attack(run, found)


def by_method(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """A row a method. A failure is inside of its medians."""
  found = records(run)
  methods = dict.fromkeys(record['method'] for record in found)
  columns = ('reconstructed', 'certified', 'whole')
  drawn = [
    blocks.Picture(path.stem, 'Scores of all reconstructions', path)
    for path in [run.files.scores_figure]
    if path.is_file()
  ]
  medians = ('median SNR', 'median CER', 'median seconds')
  return [
    blocks.Table(
      name='methods',
      caption=(
        f'Methods of {run.name} over all utterances that each was tried on; '
        'a refusal counts in a median as worse than any score'
      ),
      columns=(
        blocks.Column('method'),
        *(blocks.Column(label, True) for label in (*columns, *medians)),
      ),
      rows=[
        _method(name, [each for each in found if each['method'] == name])
        for name in methods
      ],
    ),
    *drawn,
  ]


def _method(name: str, found: Sequence[Record]) -> list[blocks.Cell]:
  total = len(found)
  counts = (
    sum(map(score_summary.is_found, found)),
    sum(bool(each['is_certified']) for each in found),
    sum(bool(each.get('is_whole')) for each in found),
  )
  snr = score_summary.median([each['snr_db'] for each in found])
  cer = score_summary.median(
    [each.get('cer') for each in found], worst=float('inf')
  )
  seconds = score_summary.median([each['seconds'] for each in found])
  return [
    blocks.Cell(name),
    *(blocks.Cell(f'{count} of {total}', count) for count in counts),
    blocks.Cell(said.number(snr, '.1f') + ' dB' * (snr is not None), snr),
    blocks.Cell(said.percent(cer), cer),
    blocks.Cell(f'{said.number(seconds, ".1f")} s', seconds),
  ]


def reconstructions(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """Each utterance by each method: sound, figure, certificate, ledger."""
  return [_group(run, record) for record in records(run)]


def _group(run: drawn_run.DrawnRun, record: Record) -> blocks.Group:
  title = f'{record["utterance"]} by {record["method"]}'
  made: list[blocks.Block] = [blocks.Text(_outcome(record))]
  made += _texts(record)
  if score_summary.is_found(record):
    made += [_clips(run, record), _picture(run, record, title)]
  made += [
    blocks.Facts(_scores(record)),
    _folded('certificate', record['certificate']),
    _folded('ledger', record['ledger']),
  ]
  return blocks.Group(title, made)


def _outcome(record: Record) -> str:
  speaker = f'Speaker {record["speaker"]}.'
  if record['refused']:
    return f'{speaker} Refused: {record["refused"]}'
  if not score_summary.is_found(record):
    return f'{speaker} Nothing was found of this utterance.'
  certified = 'certified' if record['is_certified'] else 'not certified'
  if record['is_certified'] and not record.get('is_whole'):
    certified = 'certified in part'
  return (
    f'{speaker} {record["num_frames_found"]:,} of {record["num_frames"]:,} '
    f'frames were found in {dashboard.duration(record["seconds"])}, '
    f'{certified}.'
  )


def _texts(record: Record) -> list[blocks.Block]:
  """What a recogniser hears in the reconstruction, beside what was said."""
  reference, found = record.get('reference'), record.get('heard')
  if not reference:
    return []
  if found is None:
    return [blocks.Text(f'Said: {reference}')]
  item = scores.Transcript(record['utterance'], '', reference, found)
  (edited,) = edited_text.edited([item], has_words=True)
  return [blocks.Compared(edited.said, edited.heard)]


def _clips(run: drawn_run.DrawnRun, record: Record) -> blocks.Block:
  files, utterance = run.files, record['utterance']
  method = record['method']
  wanted = (
    ('recording', files.recording(utterance)),
    ('original features', files.resynthesis(utterance, 'original')),
    ('reconstruction', files.resynthesis(utterance, method)),
    (
      "reconstruction, by the victim's statistics",
      files.resynthesis(utterance, method, '_victim_statistics'),
    ),
  )
  clips = [blocks.Clip(label, path) for label, path in wanted if path.is_file()]
  if not clips:
    return blocks.Absent(f'{files.audio.name}/ has no sound of this utterance.')
  return blocks.Clips(clips)


def _picture(
  run: drawn_run.DrawnRun, record: Record, title: str
) -> blocks.Block:
  path = run.files.reconstruction_figure(record['utterance'], record['method'])
  if not path.is_file():
    return blocks.Absent(f'{path.name} was not drawn.')
  return blocks.Picture(
    path.stem, f'Original and reconstruction: {title}', path
  )


def _scores(record: Record) -> list[tuple[str, str]]:
  return [
    (label, form.format(record[name]))
    for name, label, form in _SCORES
    if record.get(name) is not None
  ]


def _folded(name: str, values: Mapping[str, Any]) -> blocks.Group:
  rows = [(key.replace('_', ' '), _value(each)) for key, each in values.items()]
  content: blocks.Block = blocks.Facts(rows)
  if not rows:
    content = blocks.Absent('None: the method gave no reconstruction.')
  return blocks.Group(f'{name.capitalize()}', [content], is_folded=True)


def _value(value: Any) -> str:
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  if isinstance(value, float):
    return f'{value:.6g}'
  if isinstance(value, list) and all(isinstance(each, str) for each in value):
    return ', '.join(value) or 'none'
  return json.dumps(value) if not isinstance(value, str) else value or 'none'
