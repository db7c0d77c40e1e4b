"""What the dense layers of DeepSpeech 1 are given, from their first windows on.

In float64 and without dropout, as functions of the windows whose derivative is
known.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks.likelihood import gated_likelihood
from fedjax_asr.models import activation

_Inputs = Float64[np.ndarray, 'frames _']


def inputs(
  windows: _Inputs, layers: Sequence[gated_likelihood.Layer]
) -> list[_Inputs]:
  """Of each of the layers; of the first these are the windows."""
  found = [windows]
  for layer in layers[:-1]:
    signed = found[-1] @ np.asarray(layer.kernel) + np.asarray(layer.bias)
    found.append(np.clip(signed, 0.0, activation.CLIP))
  return found


def pulled_back(
  by_inputs: Sequence[_Inputs],
  given: Sequence[_Inputs],
  layers: Sequence[gated_likelihood.Layer],
) -> _Inputs:
  """Derivative by the windows, of those by the `inputs` of each layer.

  `given`: these inputs; at a kink the derivative is zero.
  """
  gradient = by_inputs[-1]
  for index in range(len(by_inputs) - 2, -1, -1):
    values = given[index + 1]
    moves = (values > 0) & (values < activation.CLIP)
    through = (gradient * moves) @ np.asarray(layers[index].kernel).T
    gradient = by_inputs[index] + through
  return gradient
