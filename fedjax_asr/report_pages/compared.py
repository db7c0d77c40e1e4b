"""Several runs side by side, in tables."""

from collections.abc import Sequence

from fedjax_asr.figures import drawn_run
from fedjax_asr.report_pages import attacked, blocks, heard, said

_OF_TRAINING = (
  blocks.Column('run'),
  blocks.Column('algorithm'),
  blocks.Column('seed', is_number=True),
  blocks.Column('rounds', is_number=True),
  blocks.Column('WER', is_number=True),
  blocks.Column('95% by speaker'),
  blocks.Column('CER', is_number=True),
)


def runs_of_training(runs: Sequence[drawn_run.DrawnRun]) -> list[blocks.Block]:
  """A row a run, and what is missing of the others."""
  rows, absent = [], []
  for run in runs:
    try:
      rows.append(_row(run))
    except drawn_run.Missing as missing:
      absent.append(blocks.Absent(f'{run.name}: {missing}'))
  caption = 'Error rates of the last evaluation'
  table = blocks.Table('compared', caption, _OF_TRAINING, rows)
  return [table, *absent] if rows else absent


def scores(run: drawn_run.DrawnRun, index: int) -> list[blocks.Block]:
  """The table of an attack, the `index`-th of several."""
  tables = [
    each for each in attacked.by_method(run) if isinstance(each, blocks.Table)
  ]
  return [each._replace(name=f'{each.name}-{index}') for each in tables]


def _row(run: drawn_run.DrawnRun) -> Sequence[blocks.Cell]:
  cfg, rounds = run.config, run.metrics[-1]['round']
  rates = heard.measured(run)
  return (
    blocks.Cell(run.name),
    blocks.Cell(cfg.federated.algorithm.value),
    blocks.Cell(str(cfg.seed), cfg.seed),
    blocks.Cell(f'{rounds:,}', rounds),
    blocks.Cell(said.percent(rates.wer.rate), rates.wer.rate),
    blocks.Cell(said.interval(rates.wer.by_speaker) or said.NONE),
    blocks.Cell(said.percent(rates.cer.rate), rates.cer.rate),
  )
