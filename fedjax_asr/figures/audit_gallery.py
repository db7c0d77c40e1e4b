"""All figures of an audit, by name."""

import functools
import pathlib
from collections.abc import Callable, Mapping

import matplotlib.figure

from fedjax_asr.figures import (
  canary_bounds,
  drawn_audit,
  drawn_run,
  membership_curves,
  memorised,
  speaker_links,
  style,
)

Draw = Callable[[], matplotlib.figure.Figure]
_FIGURES: Mapping[
  str, Callable[[drawn_audit.DrawnAudit], matplotlib.figure.Figure]
] = {
  'canaries': canary_bounds.draw,
  'membership': membership_curves.draw,
  'speakers': speaker_links.draw,
  'attributes': speaker_links.draw_attributes,
  'exposure': memorised.draw,
}


def figures(audit: drawn_audit.DrawnAudit) -> Mapping[str, Draw]:
  """What draws each figure, or says (`Missing`) what it lacks."""
  return {
    name: functools.partial(draw, audit) for name, draw in _FIGURES.items()
  }


def plot(path: pathlib.Path) -> list[pathlib.Path]:
  """Draws `figures/` of an audit, of the parts that it has; what was written.

  Raises:
    RunError: a figure cannot be written.
  """
  audit = drawn_audit.DrawnAudit(path)
  written = []
  for name, draw in figures(audit).items():
    try:
      figure = draw()
    except drawn_run.Missing:
      # Not asked for, or not measured, as audit.json says.
      continue
    written.append(style.save(figure, audit.files.figure(name, 'png')))
  return written
