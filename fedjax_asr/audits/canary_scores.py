"""One number for each canary: the higher, the rather it took part.

By somebody who sees what the server published of every round, knows the
mechanism and how canaries are drawn, and has some canaries of its own that
never took part, from which it learns what noise there is (its calibration set;
they are in no result).
"""

import numpy as np
from jaxtyping import Float

# Deviations that a layer's noise has at least, over what a canary sends of it:
# without noise they would be of rounding alone.
_LEAST = 1e-6


def scores(
  along: Float[np.ndarray, 'rounds canaries layers'],
  calibration: np.ndarray,
  sent: Float[np.ndarray, ' layers'],
  rate: float,
) -> dict[str, Float[np.ndarray, ' canaries']]:
  """By name.

  likelihood: of having taken part with probability `rate` in each round,
    against never, for independent Gaussian noise of each layer.
  highest: the round in which it shows most.
  spread: how much it goes up and down over rounds, which noise that is repeated
    does not hide.

  Args:
    along: `canary.Canaries.projections` of each round.
    calibration: indices of canaries that never took part.
    sent: the same of what a canary sends, where the channel keeps its promise.
    rate: of taking part in one round.
  """
  out = along[:, calibration]
  deviation = np.sqrt(((out - out.mean((0, 1))) ** 2).mean((0, 1)))
  deviation = np.maximum(deviation, _LEAST * np.abs(sent).max())
  # Layers weighed as for two Gaussians that differ by `sent`: of deviation 1
  # without the canary, and `shift` higher with it.
  shift = np.linalg.norm(sent / deviation)
  weights = sent / deviation**2 / shift
  seen = (along - out.mean((0, 1))) @ weights
  told = shift * seen - shift**2 / 2
  likelihood = np.logaddexp(
    np.log1p(-rate) if rate < 1 else -np.inf, np.log(rate) + told
  ).sum(0)
  by_layer = (along - out.mean(1, keepdims=True)).std(0) * np.abs(sent)
  spread_noise = (out - out.mean(1, keepdims=True)).std(0).mean(0)
  return {
    'likelihood': likelihood,
    'highest': seen.max(0),
    'spread': (by_layer / np.maximum(spread_noise, _LEAST)).sum(-1),
  }


def cosines(
  along: Float[np.ndarray, 'canaries layers'],
  sizes: Float[np.ndarray, ' layers'],
  norm: float,
) -> Float[np.ndarray, ' canaries']:
  """Of the model's whole way and each direction (Andrew et al. 2023, 3).

  Args:
    along: projections of all that the model moved.
    sizes: numbers of each layer.
    norm: of all that the model moved.
  """
  whole = along @ np.sqrt(sizes / sizes.sum())
  return whole / max(norm, 1e-30)
