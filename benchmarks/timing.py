"""Wall-clock seconds of rounds."""

import statistics
import time


def seconds(run, rounds) -> list[float]:
  """Of `run(index)`, which returns when the round is done, for each round."""
  taken = []
  for index in rounds:
    started = time.perf_counter()
    run(index)
    taken.append(time.perf_counter() - started)
  return taken


def spread(values: list[float]) -> dict:
  """Least, median and most."""
  return {
    'min': round(min(values), 4),
    'median': round(statistics.median(values), 4),
    'max': round(max(values), 4),
  }
