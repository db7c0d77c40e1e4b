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
  spectrogram_analysis,
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
  'spectrogram_analysis': spectrogram_analysis.draw,
}


def drawn(run: drawn_run.DrawnRun) -> Iterator[Drawn]:
  """Each figure, or in its place what is missing for it."""
  return (one(run, name) for name in FIGURES)


def one(run: drawn_run.DrawnRun, name: str) -> Drawn:
  """The figure of that name, or in its place what is missing for it."""
  try:
    return Drawn(name, FIGURES[name](run), '')
  except drawn_run.Missing as missing:
    return Drawn(name, _told(name, str(missing)), str(missing))


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
