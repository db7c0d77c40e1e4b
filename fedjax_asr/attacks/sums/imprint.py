"""Parameters by which a malicious server reads windows out of a sum.

Fowl et al. 2022 ("Robbing the Fed", arXiv 2110.13057), in DeepSpeech 1 as it
is: no layer is added. All units of the first layer look along one direction of
window space and differ in their thresholds, which lie at quantiles of public
speech; all rows of the second layer's kernel are the same, so that what comes
back to a window is the same at all units that it switches on. The updates of
two units with neighbouring thresholds then differ by the windows between these
alone.

Assumptions: the server is ACTIVE. It sends these parameters in place of those
that training gave, to every client alike, and has public speech in the features
of the model. A client can see it (`federated.imprint_alarm`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from fedjax_asr.attacks import context_windows
from fedjax_asr.models import activation, model

# Of the first layer's input over public speech, from the least to the greatest:
# a fourth of the clip, so that speech may be twice as far out and not be cut.
_RANGE = activation.CLIP / 4
# Of the second layer's input, at the mean of public speech: where clipped ReLU
# passes all changes on, halfway.
_LEVEL = activation.CLIP / 2
# Cosine from which two columns are of one imprint, noise on both included.
_ALIKE = 0.5


class Imprint(NamedTuple):
  """What the server knows of the parameters that it made.

  units: those that look along the direction, by threshold, ascending.
  thresholds: of each, in the units of `direction`.
  direction: of window space; a unit is on where windows exceed its threshold.
  """

  units: Int[np.ndarray, ' bins']
  thresholds: Float64[np.ndarray, ' bins']
  direction: Float64[np.ndarray, ' taps']


def made(
  params: model.Params,
  public: Sequence[Float[np.ndarray, '_ features']],
  shape: context_windows.Shape,
  rng: np.random.Generator,
  *,
  fraction: float = 1.0,
  noise: float = 0.0,
) -> tuple[model.Params, Imprint]:
  """The parameters with an imprint in them, and the imprint.

  Args:
    params: of DeepSpeech 1, for its shapes and for the layers that stay.
    public: utterances of others.
    fraction: of the first layer's units that are changed; the others stay as
      they were, and layer 2 hears them as it did.
    noise: added to each changed column of the kernel, as a share of its norm,
      to hide that they are alike.
  """
  windows = np.concatenate(
    [
      context_windows.windows(
        np.asarray(each, np.float64), shape, -(-len(each) // shape.stride)
      )
      for each in public
    ]
  )
  kernel, bias = (
    np.array(params['dense_0'][name], np.float64) for name in ('kernel', 'bias')
  )
  count = max(round(fraction * len(bias)), 2)
  units = np.sort(rng.permutation(len(bias))[:count])
  direction, projected = _direction(windows, rng)
  thresholds = np.quantile(projected, np.arange(count) / count)
  # The lowest is on for speech that is far out too.
  thresholds[0] = projected.min() - np.ptp(projected)
  columns = np.repeat(direction[:, None], count, axis=1)
  if noise:
    size = noise * np.linalg.norm(direction) / np.sqrt(len(direction))
    columns += size * rng.standard_normal(columns.shape)
  kernel[:, units], bias[units] = columns, -thresholds
  changed = dict(params)
  changed['dense_0'] = _like(params['dense_0'], kernel, bias)
  heard = np.maximum(windows @ columns - thresholds, 0).sum(axis=1)
  changed['dense_1'] = _even_second(params['dense_1'], units, heard)
  return changed, Imprint(units, thresholds, direction)


def _direction(
  windows: Float64[np.ndarray, 'windows taps'], rng: np.random.Generator
) -> tuple[Float64[np.ndarray, ' taps'], Float64[np.ndarray, ' windows']]:
  """Random, of every feature alike, and what windows come to along it."""
  sizes = windows.std(axis=0)
  random = rng.standard_normal(windows.shape[1])
  direction = np.where(sizes > 0, random / np.where(sizes > 0, sizes, 1.0), 0.0)
  projected = windows @ direction
  factor = _RANGE / max(float(np.ptp(projected)), 1e-300)
  return factor * direction, factor * projected


def _even_second(
  layer: Any,
  units: Int[np.ndarray, ' bins'],
  heard: Float64[np.ndarray, ' windows'],
) -> dict[str, np.ndarray]:
  """Of which each unit hears all imprinted ones alike.

  Where there are no others it is half open; else it is as open as it was.
  """
  kernel, bias = (
    np.array(layer[name], np.float64) for name in ('kernel', 'bias')
  )
  # So small that the loudest speech does not cut a unit.
  row = np.where(kernel.mean(axis=0) < 0, -1.0, 1.0)
  row *= _LEVEL / 2 / max(float(np.ptp(heard)), 1e-300)
  level = _LEVEL if len(units) == len(kernel) else bias
  kernel[units] = row
  return _like(layer, kernel, level - np.median(heard) * row)


def _like(
  layer: Any, kernel: np.ndarray, bias: np.ndarray
) -> dict[str, np.ndarray]:
  return {
    'kernel': kernel.astype(np.asarray(layer['kernel']).dtype),
    'bias': bias.astype(np.asarray(layer['bias']).dtype),
  }


def of_params(params: model.Params) -> Imprint:
  """The imprint in parameters that `made` gave, as their sender knows it.

  Its units are those whose columns look along the direction that most share.
  """
  kernel, bias = (
    np.asarray(params['dense_0'][name], np.float64)
    for name in ('kernel', 'bias')
  )
  columns = kernel / np.maximum(np.linalg.norm(kernel, axis=0), 1e-300)
  alike = columns.T @ columns > _ALIKE
  most = int(np.argmax(alike.sum(axis=0)))
  units = np.flatnonzero(alike[most])
  units = units[np.argsort(-bias[units], kind='stable')]
  return Imprint(units, -bias[units], kernel[:, units].mean(axis=1))
