"""What the batches of the job `converge` came to, a row each."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.figure

from fedjax_asr import json_file, run_error, run_files
from fedjax_asr.figures import comparison, drawn_run, style

_ROW = 0.34  # Inches.

_Row = Mapping[str, Any]


def _iterations(row: _Row) -> str:
  reached = row['loss_iteration']
  return 'never' if reached is None else f'{reached:,}'


def _seconds(row: _Row) -> str:
  """Runs of before it was measured do not tell."""
  seconds = row.get('fitting_seconds')
  return 'not told' if seconds is None else f'{seconds:.1f} s'


_COLUMNS: Mapping[str, Callable[[_Row], str]] = {
  'utterances': lambda row: f'{len(row["utterances"])}',
  'speech': lambda row: f'{row["seconds"]:.1f} s',
  'loss at first': lambda row: f'{row["initial_loss"]:.2f}',
  'loss': lambda row: f'{row["final_loss"]:.2g}',
  'gradient': lambda row: f'{row["final_gradient_norm"]:.2g}',
  'CER': lambda row: f'{row["cer"]:.1%}',
  'iterations\nto the goal': _iterations,
  'converged': lambda row: 'yes' if row['has_converged'] else 'no',
  'took': _seconds,
}


def draw(paths: Sequence[pathlib.Path]) -> matplotlib.figure.Figure:
  """A row a batch, of one directory of the job or of several.

  Raises:
    Missing: there is no table, or one of another version.
  """
  rows: list[list[str]] = []
  for name, path in zip(comparison.labels(paths), paths, strict=True):
    of_run = f'{style.fitted(name, 2.5, 10)}, ' if len(paths) > 1 else ''
    for index, cells in enumerate(_cells(path)):
      rows.append([f'{of_run}batch {index}', *cells])
  with style.context():
    height = _ROW * (len(rows) + 3)
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, height), layout='constrained'
    )
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title('single batches, fitted to the limit')
    _draw_table(axes, rows)
    return figure


def _cells(path: pathlib.Path) -> list[list[str]]:
  file = run_files.RunFiles(path).convergence
  try:
    return [
      [told(row) for told in _COLUMNS.values()] for row in json_file.read(file)
    ]
  except run_error.RunError as error:
    raise drawn_run.Missing(str(error)) from error
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise drawn_run.Missing(
      f'{file.name} is of another version ({error!r}).'
    ) from error


def _draw_table(axes: Any, rows: list[list[str]]) -> None:
  """Numbers end where their column does."""
  first = max(len(row[0]) for row in rows) if rows else 0
  # In widths of a letter.
  edges = [first + 11.0 + 11.5 * index for index in range(len(_COLUMNS))]
  axes.set_xlim(0, edges[-1])
  axes.set_ylim(len(rows) - 0.5, -1.5)
  for right, title in zip(edges, _COLUMNS, strict=True):
    axes.text(right, -0.6, title, ha='right', va='bottom', fontsize=9)
  axes.plot([0, edges[-1]], [-0.5, -0.5], color=style.INK, linewidth=0.8)
  for place, (name, *cells) in enumerate(rows):
    axes.text(0, place, name, va='center', fontsize=10, parse_math=False)
    for right, cell in zip(edges, cells, strict=True):
      axes.text(right, place, cell, ha='right', va='center', fontsize=10)
