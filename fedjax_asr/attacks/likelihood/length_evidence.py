"""How many windows are behind a noisy update: what its singular values say.

Without noise their number is the rank. Under noise, directions of little energy
are lost in it, how many depends on the speech; but the whole spectrum goes with
the length as it does for public speech of known length, under noise of the same
size. A ridge regression of the logarithm of the length on those of the singular
values tells the length, and what it misses of public utterances that it was not
given (PRESS, Allen 1974) how well.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks.likelihood import public_signals

_RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
# Below this part of the noise's deviation a singular value says nothing.
_FLOOR = 1e-3


class LengthEvidence(NamedTuple):
  """Of the logarithm of the number of windows: mean and deviation."""

  mean: float
  deviation: float

  def within(self, num_deviations: float) -> tuple[float, float]:
    """Numbers of windows so many deviations below and above."""
    apart = num_deviations * self.deviation
    return float(np.exp(self.mean - apart)), float(np.exp(self.mean + apart))


def of_spectrum(
  kernel: Float64[np.ndarray, 'taps units'],
  public: Sequence[public_signals.PublicUpdate],
  deviation: float,
  rng: np.random.Generator,
) -> LengthEvidence:
  """`kernel`: the update, with noise of `deviation` in each entry.

  At least two public updates; of equal lengths, they tell only that one.
  """
  known = []
  for each in public:
    made = each.update[: len(kernel)]
    noise = deviation * rng.standard_normal(made.shape)
    known.append(_logarithms(made + noise, deviation))
  logs = np.log([len(each.inputs) for each in public])
  return _regressed(np.stack(known), logs, _logarithms(kernel, deviation))


def _logarithms(
  kernel: Float64[np.ndarray, 'taps units'], deviation: float
) -> Float64[np.ndarray, ' values']:
  values = np.linalg.svd(kernel, compute_uv=False)
  return np.log(np.maximum(values, _FLOOR * deviation))


def _regressed(
  known: Float64[np.ndarray, 'public values'],
  logs: Float64[np.ndarray, ' public'],
  asked: Float64[np.ndarray, ' values'],
) -> LengthEvidence:
  """With the ridge that misses the least of what is left out."""
  centre, middle = known.mean(axis=0), float(logs.mean())
  inner = (known - centre) @ (known - centre).T
  towards = (known - centre) @ (asked - centre)
  found = []
  for ridge in _RIDGES:
    inverse = np.linalg.inv(inner + ridge * np.eye(len(logs)))
    weights = inverse @ (logs - middle)
    # Residual with one left out, without doing so; the mean counts as known.
    missed = weights / np.diag(inverse)
    spread = float(np.sqrt(np.mean(missed**2)))
    found.append(LengthEvidence(middle + float(towards @ weights), spread))
  return min(found, key=lambda each: each.deviation)
