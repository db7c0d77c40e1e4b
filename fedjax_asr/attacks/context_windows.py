"""Windows of frames, as a dense or convolutional layer sees an utterance."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64


class Shape(NamedTuple):
  """Windows of 2 * context + 1 frames, one every `stride` frames."""

  context: int
  stride: int
  num_features: int

  @property
  def width(self) -> int:
    return 2 * self.context + 1

  @property
  def capacity(self) -> int:
    """Windows up to which they hold more equations than unknowns."""
    return max(self.width - self.stride, 0) * self.num_features


def windows(
  utterance: Float64[np.ndarray, 'frames features'],
  shape: Shape,
  num_windows: int,
) -> Float64[np.ndarray, 'windows taps']:
  """The context windows, frame after frame, as the model's first layer sees."""
  reach = (num_windows - 1) * shape.stride + shape.width
  behind = max(reach - shape.context - len(utterance), 0)
  padded = np.pad(utterance, ((shape.context, behind), (0, 0)))
  starts = np.arange(num_windows) * shape.stride
  taps = starts[:, None] + np.arange(shape.width)
  return padded[taps].reshape(num_windows, -1)


def overlapped(
  by_windows: Float64[np.ndarray, 'windows taps'], shape: Shape
) -> Float64[np.ndarray, 'frames features']:
  """Each frame's sum over the windows that hold it: `windows` transposed.

  For windows one frame apart, as many as there are frames.
  """
  count = len(by_windows)
  by_tap = by_windows.reshape(count, shape.width, shape.num_features)
  frames = np.zeros((count + shape.width - 1, shape.num_features))
  for tap in range(shape.width):
    frames[tap : tap + count] += by_tap[:, tap]
  return frames[shape.context : shape.context + count]
