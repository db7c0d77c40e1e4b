"""What comes back from an imprinted first layer, computed unit by unit."""

import numpy as np

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.sums import imprint

SHAPE = context_windows.Shape(3, 1, 3)


def spoken(rng: np.random.Generator, num_frames: int) -> np.ndarray:
  return 5 + 2 * rng.standard_normal((num_frames, SHAPE.num_features))


def parameters(rng: np.random.Generator, num_units: int = 64, **weakened):
  """(parameters with an imprint, the imprint); layers of `num_units`."""
  taps = SHAPE.width * SHAPE.num_features
  params = {
    name: {
      'kernel': rng.standard_normal((inputs, num_units)) / np.sqrt(inputs),
      'bias': 0.1 * rng.standard_normal(num_units),
    }
    for name, inputs in (('dense_0', taps), ('dense_1', num_units))
  }
  public = [spoken(rng, 60) for _ in range(10)]
  return imprint.made(params, public, SHAPE, rng, **weakened)


def update(params, utterances, rng) -> dict[str, np.ndarray]:
  """Of the first layer: the same signal at every unit that a window opens."""
  kernel, bias = params['dense_0']['kernel'], params['dense_0']['bias']
  windows = np.concatenate(
    [context_windows.windows(each, SHAPE, len(each)) for each in utterances]
  )
  signals = rng.standard_normal(len(windows))
  open_units = windows @ kernel + bias > 0
  return {
    'kernel': windows.T @ (signals[:, None] * open_units),
    'bias': signals @ open_units,
  }
