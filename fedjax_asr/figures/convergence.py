"""Loss, gradient norm and output changes of single batches over iterations."""

import json
import pathlib
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import run_error, run_files
from fedjax_asr.figures import style

_PANELS = (
  ('loss', 'CTC loss (nats per utterance)'),
  ('gradient_norm', 'gradient norm'),
  ('output_change', 'change of the outputs (total variation)'),
)


def plot(run_path: pathlib.Path) -> pathlib.Path:
  """Draws `figures/batch_convergence.png` from `iterations.jsonl`.

  Raises:
    RunError: the file is missing, empty or damaged.
  """
  files = run_files.RunFiles(run_path)
  return style.save(draw(run_path), files.convergence_figure)


def draw(run_path: pathlib.Path) -> matplotlib.figure.Figure:
  """A line a batch; of a run under way, as far as it is.

  Raises:
    RunError: as `plot`.
  """
  batches = _read(run_files.RunFiles(run_path).iterations)
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(style.WIDTH, 8.5), layout='constrained'
    )
    panels = figure.subplots(len(_PANELS), 1, sharex=True)
    for (name, title), axes in zip(_PANELS, panels, strict=True):
      _plot_panel(axes, batches, name, title)
    panels[0].legend()
    panels[-1].set_xlabel('iteration')
    return figure


def _read(path: pathlib.Path) -> dict[int, list[dict[str, Any]]]:
  try:
    lines = path.read_text(encoding='utf-8').split('\n')
    # What follows the last end of a line was cut off.
    records = [json.loads(line) for line in lines[:-1]]
    batches: dict[int, list[dict[str, Any]]] = {}
    for record in records:
      batches.setdefault(record['batch'], []).append(record)
  except OSError as error:
    raise run_error.RunError(f'{path}: {error.strerror}.') from error
  except (ValueError, KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{path}: {error!r}; want the records of a batch convergence run.'
    ) from error
  if not batches:
    raise run_error.RunError(f'{path} is empty; want some iterations.')
  return batches


def _plot_panel(
  axes: Any, batches: dict[int, list[dict[str, Any]]], name: str, title: str
) -> None:
  for place, (index, records) in enumerate(batches.items()):
    iterations = [record['iteration'] for record in records]
    # A logarithmic axis has no place for an exact zero.
    values = np.array([record[name] for record in records], float)
    values[values <= 0] = np.nan
    # Lines that coincide are told apart by their markers, at places of their
    # own.
    step = max(len(values) // 8, 1)
    where = (place * step // len(batches), step)
    axes.plot(
      iterations,
      values,
      label=f'batch {index}',
      markevery=where,
      **style.line(place, len(batches) - 1 - place),
    )
  axes.set_yscale('log')
  axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
  axes.set_title(title)
