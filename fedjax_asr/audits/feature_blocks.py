"""Vectors of several parts, each in units of its own, as one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

Block = Float[np.ndarray, 'speakers halves _']


def levelled(
  blocks: Sequence[Block], fitted: Int[np.ndarray, ' fitted']
) -> Float[np.ndarray, 'speakers halves features']:
  """Side by side, of equal variance in all over the fitted speakers."""
  levels = []
  for block in blocks:
    known = block[fitted].reshape(-1, block.shape[-1])
    scale = np.sqrt(((known - known.mean(0)) ** 2).sum(1).mean())
    levels.append(block / (scale if scale > 0 else 1.0))
  return np.concatenate(levels, axis=-1)
