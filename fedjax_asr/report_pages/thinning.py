"""Which points of long curves are drawn: no screen shows ten thousand."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

# Of a line; a screen is about as many points wide.
_NUM_STRETCHES = 600


def kept(
  lines: Sequence[Float64[np.ndarray, ' rounds']],
  num_stretches: int = _NUM_STRETCHES,
) -> Int[np.ndarray, ' kept']:
  """Places of the first and the last round and, in each of so many stretches of
  equal length, of the lowest and the highest value of each line.

  Lines have a value a round, NaN where they have none. What is finite and
  highest or lowest of a whole line is kept. All places of a short one are.
  """
  length = len(lines[0]) if lines else 0
  if length <= 2 * num_stretches:
    return np.arange(length)
  chosen = {0, length - 1}
  edges = np.linspace(0, length, num_stretches + 1).astype(int)
  for values in lines:
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf)
    high = np.where(finite, values, -np.inf)
    for start, end in itertools.pairwise(edges):
      if finite[start:end].any():
        chosen.add(start + int(np.argmin(low[start:end])))
        chosen.add(start + int(np.argmax(high[start:end])))
  return np.array(sorted(chosen))
