"""Stretches of frames that are reconstructed one after another."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedjax_asr import config


class Grid(NamedTuple):
  """A stretch of frames: first, and one past the last."""

  start: int
  end: int


def grids(num_frames: int, length: int, overlap: int) -> tuple[Grid, ...]:
  """Stretches of `length` that cover all frames; length 0: one of them all.

  Each begins `overlap` frames before the last one ends; the last one is as
  long as the others and may overlap more.

  Raises:
    config.ConfigError: the overlap is not shorter than a stretch.
  """
  if not length or length >= num_frames:
    return (Grid(0, num_frames),)
  if overlap >= length:
    raise config.ConfigError(
      f'config.attack.gradient_matching.grid_overlap={overlap}; want less than '
      f'grid_frames={length}.'
    )
  starts = list(range(0, num_frames - length, length - overlap))
  starts.append(num_frames - length)
  return tuple(Grid(start, start + length) for start in starts)


def masks(
  stretches: tuple[Grid, ...], num_frames: int
) -> Float[np.ndarray, 'grids frames']:
  """How much of each frame comes from each stretch; sums to 1 at each frame.

  Linear cross-fades where stretches overlap, none at the utterance's ends.
  """
  frames = np.arange(num_frames)
  weights = np.zeros((len(stretches), num_frames))
  for row, (start, end) in zip(weights, stretches, strict=True):
    into = frames - start + 1 if start else np.full(num_frames, np.inf)
    out = end - frames if end < num_frames else np.full(num_frames, np.inf)
    inside = (frames >= start) & (frames < end)
    # Alone in its frames, where both are infinite, a stretch has all weight.
    height = np.minimum(np.minimum(into, out), end - start)
    row[inside] = height[inside]
  return weights / weights.sum(0)


def blended(
  canvas: Float[np.ndarray, '*axes frames features'],
  found: Float[np.ndarray, '*axes frames features'],
  weights: Float[np.ndarray, 'grids frames'],
  index: int,
) -> np.ndarray:
  """The canvas with what stretch `index` found blended in.

  After the last of them, each frame is the mean of what its stretches found,
  weighted by the masks; frames that no stretch has reached stay.
  """
  so_far = weights[: index + 1].sum(0)
  share = weights[index] / np.where(so_far > 0, so_far, 1.0)
  return canvas + share[:, None].astype(canvas.dtype) * (found - canvas)
