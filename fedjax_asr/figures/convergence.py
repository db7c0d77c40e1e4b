"""Loss, gradient norm and output changes of single batches over iterations."""

import json
import pathlib
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import run_directory
from fedjax_asr.figures import style

_PANELS = (
  ('loss', 'CTC loss (nats per utterance)'),
  ('gradient_norm', 'Gradient norm'),
  ('output_change', 'Change of the outputs (total variation)'),
)


def plot(run_path: pathlib.Path) -> pathlib.Path:
  """Draws `figures/batch_convergence.png` from `iterations.jsonl`.

  Raises:
    RunError: the file is missing, empty or damaged.
  """
  path = pathlib.Path(run_path)
  batches = _read(path / 'iterations.jsonl')
  with style.context():
    figure = matplotlib.figure.Figure(figsize=(12, 3.8), layout='constrained')
    panels = zip(_PANELS, figure.subplots(1, len(_PANELS)), strict=True)
    for (name, title), axes in panels:
      _plot_panel(axes, batches, name, title)
    return style.save(figure, path / 'figures' / 'batch_convergence.png')


def _read(path: pathlib.Path) -> dict[int, list[dict[str, Any]]]:
  try:
    lines = path.read_text(encoding='utf-8').splitlines()
    records = [json.loads(line) for line in lines]
    batches: dict[int, list[dict[str, Any]]] = {}
    for record in records:
      batches.setdefault(record['batch'], []).append(record)
  except OSError as error:
    raise run_directory.RunError(f'{path}: {error.strerror}.') from error
  except (ValueError, KeyError, TypeError) as error:
    raise run_directory.RunError(
      f'{path}: {error!r}; want the records of a batch convergence run.'
    ) from error
  if not batches:
    raise run_directory.RunError(f'{path} is empty; want some iterations.')
  return batches


def _plot_panel(
  axes: Any, batches: dict[int, list[dict[str, Any]]], name: str, title: str
) -> None:
  for index, records in batches.items():
    iterations = [record['iteration'] for record in records]
    # A logarithmic axis has no place for an exact zero.
    values = np.array([record[name] for record in records], float)
    values[values <= 0] = np.nan
    look = style.line(index) | {'marker': ''}
    axes.plot(iterations, values, label=f'batch {index}', **look)
  axes.set_yscale('log')
  axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
  axes.set_title(title)
  axes.set_xlabel('iteration')
  axes.legend()
