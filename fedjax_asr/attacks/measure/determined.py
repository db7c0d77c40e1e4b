"""How close the part of a reconstruction is that the update determines."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from fedjax_asr.attacks import observation
from fedjax_asr.attacks.measure import score


def snr_db(
  truth: Float[np.ndarray, '_ features'],
  found: Float[np.ndarray, '_ features'],
  undetermined: Sequence[observation.Stretch] = (),
) -> float | None:
  """Of what lies between the `undetermined` stretches, all of it together.

  Each piece is compared where it fits the truth best, after the piece before
  it; the first at the beginning, if the reconstruction has one. What the truth
  has beyond the last is not compared: whether that is missing is what
  `is_whole` says. None where nothing is determined; `-score.MAX_SNR_DB` where
  the pieces are longer than the truth.
  """
  truth, found = truth.astype(np.float64), found.astype(np.float64)
  signal = noise = 0.0
  after, is_first = 0, True
  for start, stop in _pieces(len(found), undetermined):
    piece = found[start:stop]
    places = len(truth) - len(piece) - after
    if places < 0:
      return -score.MAX_SNR_DB
    begins_here = is_first and start == 0
    offsets = range(after, after + (0 if begins_here else places) + 1)
    errors = [np.sum((truth[o : o + len(piece)] - piece) ** 2) for o in offsets]
    best = int(np.argmin(errors))
    offset = offsets[best]
    signal += np.sum(truth[offset : offset + len(piece)] ** 2)
    noise += errors[best]
    after, is_first = offset + len(piece), False
  if is_first:
    return None
  return score.ratio_db(signal, noise)


def _pieces(
  length: int, undetermined: Sequence[observation.Stretch]
) -> Iterator[tuple[int, int]]:
  """(start, stop) of what lies between."""
  start = 0
  for stretch in undetermined:
    if stretch.start > start:
      yield start, stretch.start
    start = stretch.stop
  if start < length:
    yield start, length
