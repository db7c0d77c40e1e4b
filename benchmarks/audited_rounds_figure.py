"""Draws what a run gives away as it learns, a panel above the other.

  python benchmarks/audited_rounds_figure.py RESULT.json OUT.png

RESULT.json is a record of `audited_rounds.py`, as
fedjax_asr/figures/round_points.py describes it.
"""

import sys
from collections.abc import Sequence

from fedjax_asr.figures import audited_rounds, by_command, round_points, style


def main(argv: Sequence[str]) -> int:
  return by_command.run(
    argv,
    2,
    __doc__,
    lambda paths: [
      style.save(audited_rounds.draw(round_points.read(paths[0])), paths[1])
    ],
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
