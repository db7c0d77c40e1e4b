"""What is known of speech before an update is seen: a Gaussian.

Frames of an utterance have one mean and one covariance over features, and are
correlated over time as a first-order autoregression.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

# Of the mean variance, added to each: features that never vary stay invertible.
_RIDGE = 1e-3


class SpeechPrior(NamedTuple):
  """x_t - mean = root e_t, with e an autoregression of variance 1.

  correlation: of a feature with itself a frame later.
  """

  mean: Float64[np.ndarray, ' features']
  root: Float64[np.ndarray, 'features features']
  correlation: float

  def time_root(self, num_frames: int) -> Float64[np.ndarray, 'frames frames']:
    """Lower triangular; of fewer frames it is the upper left part of this."""
    lags = np.arange(num_frames)
    decay = np.tril(self.correlation ** np.abs(lags[:, None] - lags))
    scale = np.full(num_frames, np.sqrt(1 - self.correlation**2))
    scale[:1] = 1.0
    return decay * scale

  def speech(
    self, whitened: Float64[np.ndarray, 'frames features']
  ) -> Float64[np.ndarray, 'frames features']:
    """The utterance behind standard normal numbers."""
    time = self.time_root(len(whitened))
    return time @ whitened @ self.root.T + self.mean

  def whitened(
    self, speech: Float64[np.ndarray, 'frames features']
  ) -> Float64[np.ndarray, 'frames features']:
    """Undoes `speech`."""
    import scipy.linalg  # Here, because it takes long to import.

    by_feature = scipy.linalg.solve_triangular(
      self.root, (speech - self.mean).T, lower=True
    ).T
    return scipy.linalg.solve_triangular(
      self.time_root(len(speech)), by_feature, lower=True
    )

  def pulled_back(
    self, gradient: Float64[np.ndarray, 'frames features']
  ) -> Float64[np.ndarray, 'frames features']:
    """Gradient by the whitened numbers, of that by the utterance."""
    return self.time_root(len(gradient)).T @ gradient @ self.root


def fitted(
  utterances: Sequence[Float64[np.ndarray, '_ features']],
) -> SpeechPrior:
  """By moments; at least one utterance of two frames or more."""
  frames = np.concatenate(utterances)
  mean = frames.mean(axis=0)
  covariance = np.atleast_2d(np.cov(frames.T))
  ridge = _RIDGE * np.trace(covariance) / len(mean)
  root = np.linalg.cholesky(covariance + ridge * np.eye(len(mean)))
  pairs = sum(np.sum((x[1:] - mean) * (x[:-1] - mean)) for x in utterances)
  squares = sum(np.sum((x - mean) ** 2) for x in utterances)
  return SpeechPrior(mean, root, float(np.clip(pairs / squares, 0.0, 0.99)))
