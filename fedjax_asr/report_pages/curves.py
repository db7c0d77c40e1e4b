"""Loss, error rates, norms, rates and speed by round, to be looked into."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.figures import drawn_run, style
from fedjax_asr.report_pages import blocks, said, thinning

_DOTS = (3, 4)


class _Wanted(NamedTuple):
  metric: str
  label: str
  color: str
  dash: Sequence[int] = ()
  is_sparse: bool = False


class _Panel(NamedTuple):
  name: str
  title: str
  lines: Sequence[_Wanted]
  is_log: bool = True
  is_rate: bool = False


_PANELS = (
  _Panel(
    'loss',
    'CTC loss (nats per utterance)',
    (
      _Wanted('train/loss', 'training clients', style.GREEN),
      _Wanted(
        'eval/loss', 'held-out speakers', style.BLUE, _DOTS, is_sparse=True
      ),
    ),
  ),
  _Panel(
    'rates',
    'Error rates',
    (
      _Wanted('eval/wer', 'WER, speakers', style.BLUE, (), True),
      _Wanted('eval/cer', 'CER, speakers', style.BLUE, _DOTS, True),
      _Wanted('eval/utterance_wer', 'WER, utterances', style.ORANGE, (), True),
      _Wanted(
        'eval/utterance_cer', 'CER, utterances', style.ORANGE, _DOTS, True
      ),
    ),
    is_log=False,
    is_rate=True,
  ),
  _Panel(
    'norms',
    'Norms',
    (
      _Wanted('train/gradient_norm', 'gradient of a client', style.BLUE),
      _Wanted('train/delta_norm', 'mean update', style.ORANGE, _DOTS),
    ),
  ),
  _Panel(
    'learning_rates',
    'Learning rates',
    (
      _Wanted('learning_rate', 'client', style.BLUE),
      _Wanted('server_learning_rate', 'server', style.ORANGE, _DOTS),
    ),
  ),
  _Panel(
    'speed',
    'Speed',
    (
      _Wanted('clients_per_second', 'clients a second', style.BLUE),
      _Wanted('times_real_time', 'times real time', style.ORANGE, _DOTS),
    ),
  ),
)


def charts(run: drawn_run.DrawnRun) -> blocks.Charts:
  """Those of which there is a value.

  Raises:
    Missing: there is no round, or no value at all.
  """
  rounds = np.array([record['round'] for record in run.metrics], float)
  found = [_chart(run, panel, rounds) for panel in _PANELS]
  found = [chart for chart in found if chart is not None]
  if not found:
    name = run.files.metrics.name
    raise drawn_run.Missing(f'{name} has no number that a curve shows.')
  return blocks.Charts(found)


def _chart(
  run: drawn_run.DrawnRun, panel: _Panel, rounds: Float64[np.ndarray, ' rounds']
) -> blocks.Chart | None:
  wanted = [
    (line, _values(run, line.metric, len(rounds))) for line in panel.lines
  ]
  wanted = [(line, values) for line, values in wanted if values is not None]
  if not wanted:
    return None
  shown = [
    np.where(values > 0, values, np.nan) if panel.is_log else values
    for _, values in wanted
  ]
  places = thinning.kept(shown)
  lines = [
    blocks.Line(
      line.label, line.color, _plain(values[places]), line.dash, line.is_sparse
    )
    for (line, _), values in zip(wanted, shown, strict=True)
  ]
  notes = [
    _unseen(line, values) for line, values in zip(lines, shown, strict=True)
  ]
  if len(places) < len(rounds):
    notes.append(
      f'{len(places):,} of {len(rounds):,} rounds are drawn, the highest and '
      'the lowest of each stretch among them.'
    )
  return blocks.Chart(
    name=panel.name,
    title=panel.title,
    rounds=rounds[places].tolist(),
    lines=lines,
    is_log=panel.is_log,
    is_rate=panel.is_rate,
    note=' '.join(filter(None, notes)),
  )


def _values(
  run: drawn_run.DrawnRun, metric: str, length: int
) -> Float64[np.ndarray, ' rounds'] | None:
  """NaN where a round has none; None where no round has one, by that name."""
  if not any(metric in record for record in run.metrics):
    return None
  values = np.array([record.get(metric) for record in run.metrics], np.float64)
  assert len(values) == length
  return np.where(np.isfinite(values), values, np.nan)


def _unseen(line: blocks.Line, values: Float64[np.ndarray, ' rounds']) -> str:
  """A line of every round should have a value in each."""
  count = int(np.isnan(values).sum())
  if line.is_sparse or not count:
    return ''
  return (
    f'{line.label}: {said.count(count, "round")} without a value that can be '
    'drawn.'
  )


def _plain(values: Float64[np.ndarray, ' kept']) -> list[float | None]:
  """With the digits that a screen can tell apart."""
  return [
    float(f'{value:.6g}') if np.isfinite(value) else None for value in values
  ]


def evaluations(run: drawn_run.DrawnRun) -> blocks.Group:
  """The numbers of each evaluation.

  Raises:
    Missing: there was none.
  """
  known = (
    ('eval/loss', 'loss', said.number),
    ('eval/wer', 'WER', said.percent),
    ('eval/cer', 'CER', said.percent),
    ('eval/utterance_wer', 'WER, utterances', said.percent),
    ('eval/utterance_cer', 'CER, utterances', said.percent),
  )
  rows = [
    record
    for record in run.metrics
    if any(record.get(name) is not None for name, *_ in known)
  ]
  if not rows:
    raise drawn_run.Missing('The run was never evaluated.')
  columns = [
    column
    for column in known
    if any(record.get(column[0]) is not None for record in rows)
  ]
  table = blocks.Table(
    name='evaluations',
    caption=f'Evaluations of {run.name}, by round',
    columns=[
      blocks.Column(label, True)
      for label in ('round', *(label for _, label, _ in columns))
    ],
    rows=[
      [
        blocks.Cell(str(record['round']), record['round']),
        *(
          blocks.Cell(say(record.get(name)), record.get(name))
          for name, _, say in columns
        ),
      ]
      for record in rows
    ],
    printed=40,
  )
  return blocks.Group('The numbers of each evaluation', [table], is_folded=True)
