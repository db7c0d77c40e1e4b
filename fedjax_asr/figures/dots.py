"""Numbers with their intervals, one under the other."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from fedjax_asr.figures import style


class Dot(NamedTuple):
  """interval: None where none is known. chance: what a guess reaches."""

  label: str
  value: float
  interval: Sequence[float] | None
  chance: float | None = None
  color: str = style.BLUE


def draw(axes: Any, dots: Sequence[Dot], form: str = '{:.0%}') -> None:
  """A row each, the first on top; the number stands above its dot."""
  for row, dot in enumerate(dots):
    if dot.interval is not None:
      axes.hlines(row, *dot.interval, color=dot.color, linewidth=4, alpha=0.4)
    axes.plot(dot.value, row, 'o', color=dot.color, markersize=7)
    axes.annotate(
      form.format(dot.value),
      (dot.value, row),
      (0, 5),
      textcoords='offset points',
      ha='center',
      fontsize=9,
    )
    if dot.chance is not None:
      axes.vlines(
        dot.chance,
        row - 0.5,
        row + 0.5,
        color=style.INK,
        linestyles='--',
        linewidth=1.4,
      )
  axes.set_yticks(range(len(dots)), [dot.label for dot in dots], fontsize=10)
  axes.set_ylim(len(dots) - 0.5, -0.7)
  axes.grid(False, axis='y')


def say(axes: Any, reason: str) -> None:
  """In the place of what a panel would show."""
  axes.set_xticks([])
  axes.set_yticks([])
  axes.grid(visible=False)
  axes.text(
    0.03,
    0.9,
    textwrap.fill(reason, 44),
    transform=axes.transAxes,
    va='top',
    fontsize=10,
    parse_math=False,
  )
