"""Waveforms at another sample rate."""

import math

import numpy as np
from jaxtyping import Float32


def resampled(
  waveform: Float32[np.ndarray, 'samples'], source_rate: int, target_rate: int
) -> Float32[np.ndarray, 'resampled']:
  """As `librosa.resample` gives it, to the bit: soxr's high quality.

  As many samples as the time takes, rounded up.
  """
  import soxr  # Here, because few who read audio resample it.

  count = math.ceil(len(waveform) * (target_rate / source_rate))
  samples = soxr.resample(waveform, source_rate, target_rate, quality='HQ')
  return np.pad(samples[:count], (0, max(count - len(samples), 0)))
