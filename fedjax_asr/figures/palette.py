"""Lines of the palette as they are seen with each kind of colour vision.

python -m fedjax_asr.figures.palette OUT.png
"""

import itertools
import sys
from collections.abc import Sequence

import matplotlib.figure
import numpy as np

from fedjax_asr.figures import by_command, color_vision, style


def draw() -> matplotlib.figure.Figure:
  """A panel for each kind, in the colours, dashes and marks of a figure."""
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(1.6 * style.WIDTH, 6.4), layout='constrained'
    )
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, vision in zip(panels.ravel(), color_vision.SEEN, strict=True):
      _draw_lines(axes, vision)
    figure.supxlabel(
      'Machado, Oliveira and Fernandes (2009), severity 1. Beside each line: '
      'its colour, and its contrast\nwith white and with #0d1117 as seen so. '
      'In the titles: the least distance of two lines in CIE Lab.',
      fontsize=10,
      x=0.02,
      ha='left',
    )
    return figure


def _draw_lines(axes, vision: str) -> None:
  places = np.linspace(0, 1, 9)
  for index, color in enumerate(style.DISTINCT):
    seen = color_vision.seen(color, vision)
    look = style.line(index) | {'color': seen}
    axes.plot(places, -index + 0.25 * np.sin(5 * places), **look)
    axes.text(1.05, -index, _said(color, seen), va='center', fontsize=9)
  axes.set_title(f'{vision}: {least_distance(vision):.0f}')
  axes.set_xlim(-0.03, 1.75)
  axes.set_axis_off()


def _said(color: str, seen: str) -> str:
  contrasts = [color_vision.contrast(seen, page) for page in style.PAGES]
  return f'{color}: {contrasts[0]:.1f}, {contrasts[1]:.1f}'


def least_distance(vision: str) -> float:
  """Between any two lines of the palette, in CIE Lab as seen so."""
  labs = [color_vision.lab(color, vision) for color in style.DISTINCT]
  return min(
    float(np.linalg.norm(one - other))
    for one, other in itertools.combinations(labs, 2)
  )


def main(argv: Sequence[str]) -> int:
  return by_command.run(
    argv, 1, __doc__, lambda paths: [style.save(draw(), paths[0])]
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
