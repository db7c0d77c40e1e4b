"""Where a search begins: the utterance that is least outside of a noisy span.

A direction of the update that has energy s^2 above noise of e^2 counts as
outside of the windows' span by e^2 / (s^2 + e^2), as in Capon's minimum
variance spectra (1969), so that no rank has to be chosen. The utterance of
which the windows lie least outside is an eigenvector: it says nothing of size
and sign.
"""

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.ds1 import window_system


def utterance(
  update: Float64[np.ndarray, 'taps units'],
  deviation: float,
  shape: context_windows.Shape,
  num_windows: int,
  rng: np.random.Generator,
) -> Float64[np.ndarray, 'frames features']:
  """Of mean square 1; `update` is a kernel's, noise of `deviation` in each."""
  energy, axes = np.linalg.eigh(update @ update.T)
  noise = update.shape[1] * deviation**2
  outside = noise / (np.maximum(energy - noise, 0.0) + noise)
  root = (axes * np.sqrt(outside)) @ axes.T
  found = window_system.smallest(root, shape, num_windows, 1, rng)
  (best,) = found.utterances
  return best / np.sqrt(np.mean(best**2))


def effective_rank(
  update: Float64[np.ndarray, 'taps units'], deviation: float
) -> int:
  """Singular values above the edge of the noise's: no fewer windows were seen.

  The edge is that of a Gaussian matrix (Marchenko and Pastur 1967).
  """
  taps, units = update.shape
  edge = deviation * (np.sqrt(taps) + np.sqrt(units))
  values = np.linalg.svd(update, compute_uv=False)
  return int(np.sum(values > edge))
