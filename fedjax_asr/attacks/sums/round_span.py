"""What space the windows behind one round's sum span.

Of DeepSpeech 1: the first layer's update is a sum over the windows of all
clients, secure aggregation or not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.ds1 import first_layer

# Of what a time-reversed utterance leaves outside of the span, the share up to
# which an utterance is in it: 0 for one that is, 1 for one that is not.
_PRESENT = 0.1
# Below this share nothing tells: the reversed one is in the span too.
_FLOOR = 1e-9


class RoundSpan(NamedTuple):
  """Directions of window space that no window of the round has a part in.

  outside: for windows of features as the model is given them, whatever scale
    they were found in.
  rank: windows of the round.
  """

  outside: Float64[np.ndarray, 'taps outside']
  rank: int
  shape: context_windows.Shape


def of_sum(observed: observation.Observation) -> RoundSpan:
  """The span of one sum, of any rank that its spectrum tells.

  Beyond `capacity` too: what no single round determines, several may.

  Raises:
    observation.Refused: another model, Adam at the clients, no update of the
      first layer's kernel, or a spectrum without a drop.
  """
  shape = first_layer.window_shape(observed)
  among = first_layer.candidates(observed, shape)
  best = max(among, key=lambda candidate: candidate.space.gap)
  if best.space.gap <= 1:
    raise observation.Refused(
      f'{first_layer.KERNEL}: no drop in its '
      f'{len(best.space.singular_values)} singular values: as many windows or '
      'more, or an update that is noisy, quantised or sparsified.'
    )
  rows = np.tile(best.layer.scale, shape.width)[:, None]
  return RoundSpan(best.space.complement / rows, best.space.rank, shape)


def common(spans: Sequence[RoundSpan]) -> RoundSpan:
  """Of the windows that may be in all of these rounds.

  `rank` is the dimension that is left: those of the utterances that recur, and
  what any spaces so large have in common besides.
  """
  outside = np.concatenate(
    [span.outside / np.linalg.norm(span.outside) for span in spans], axis=1
  )
  vectors, values, _ = np.linalg.svd(outside, full_matrices=False)
  kept = values > values[0] * np.finfo(np.float64).eps * len(outside)
  outside = vectors[:, kept]
  return RoundSpan(outside, len(outside) - outside.shape[1], spans[0].shape)


def holds(span: RoundSpan, features: Float64[np.ndarray, '_ features']) -> bool:
  """Whether all windows of an utterance lie in the span.

  Beside those of the same frames backwards, which a sum that holds the
  utterance has no reason to hold: no threshold knows the noise. False where
  both lie in it, as of silence.
  """
  forwards, backwards = (
    _outside(span, each) for each in (features, features[::-1])
  )
  return bool(backwards > _FLOOR and forwards <= _PRESENT * backwards)


def num_windows(
  features: Float64[np.ndarray, '_ features'], shape: context_windows.Shape
) -> int:
  return -(-len(features) // shape.stride)


def _outside(
  span: RoundSpan, features: Float64[np.ndarray, '_ features']
) -> float:
  """Share of the windows' energy, in units of directions of one length."""
  count = num_windows(features, span.shape)
  windows = context_windows.windows(features, span.shape, count)
  sizes = np.sqrt(np.mean(windows**2, axis=0))
  outside = span.outside * np.where(sizes > 0, sizes, 1.0)[:, None]
  outside = outside / np.maximum(np.linalg.norm(outside, axis=0), 1e-300)
  level = windows / np.where(sizes > 0, sizes, 1.0)
  energy = max(float(np.sum(level**2)), 1e-300)
  return float(np.sum((level @ outside) ** 2)) / energy
