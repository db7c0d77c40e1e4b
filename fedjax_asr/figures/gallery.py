"""All figures of a run, by name."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import matplotlib.figure

from fedjax_asr.figures import (
  architecture,
  dashboard,
  data_flow,
  drawn_run,
  style,
  training,
)

Draw = Callable[[drawn_run.DrawnRun], matplotlib.figure.Figure]


class Drawn(NamedTuple):
  """missing: why it says only that, '' of one that is whole."""

  name: str
  figure: matplotlib.figure.Figure
  missing: str


FIGURES: Mapping[str, Draw] = {
  'training_progress': training.draw,
  'model_architecture': architecture.draw,
  'data_flow': data_flow.draw,
  'performance_dashboard': dashboard.draw,
}


def drawn(run: drawn_run.DrawnRun) -> Iterator[Drawn]:
  """Each figure, or in its place what is missing for it."""
  for name, draw in FIGURES.items():
    try:
      yield Drawn(name, draw(run), '')
    except drawn_run.Missing as missing:
      yield Drawn(name, _told(name, str(missing)), str(missing))


def _told(name: str, reason: str) -> matplotlib.figure.Figure:
  title = name.replace('_', ' ')
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(style.WIDTH, 2.0), layout='constrained'
    )
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(title)
    said = textwrap.fill(reason, 60, break_long_words=True)
    axes.text(0, 0.9, said, va='top', fontsize=10, parse_math=False)
    return figure
