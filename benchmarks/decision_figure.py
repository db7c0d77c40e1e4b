"""Draws what noise costs and saves, a panel above the other.

  python benchmarks/decision_figure.py RESULT.json OUT.png

RESULT.json is a record as fedjax_asr/figures/decision_points.py describes it;
`decision_points.of_run(RUN)` makes a point of a run whose directory has an
audit/ and an attack/.
"""

import sys
from collections.abc import Sequence

from fedjax_asr.figures import by_command, decision, decision_points, style


def main(argv: Sequence[str]) -> int:
  return by_command.run(
    argv,
    2,
    __doc__,
    lambda paths: [
      style.save(decision.draw(decision_points.read(paths[0])), paths[1])
    ],
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
