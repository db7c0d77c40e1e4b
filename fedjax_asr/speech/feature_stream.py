"""Features of a waveform that comes piece by piece."""

import numpy as np
from jaxtyping import Float32

from fedjax_asr import config
from fedjax_asr.speech import features, running

Frames = Float32[np.ndarray, '_ features']


class FeatureStream:
  """`features.extract` and `normalize` along a stream.

  All frames that were given are, one after another, those of the waveform as a
  whole. Holds less than a window and a hop of samples.
  """

  def __init__(
    self,
    cfg: config.FeaturesConfig,
    statistics: features.Statistics | None = None,
  ):
    """Raises:
    ConfigError: the normalisation needs the whole of an utterance.
    """
    check(cfg)
    self._cfg = cfg
    self._statistics = statistics
    self._moments: running.Moments | None = None
    if cfg.normalization is config.Normalization.RUNNING:
      if statistics is None:
        raise ValueError('statistics=None; want those of the corpus.')
      self._moments = running.start(*statistics)
      # What it imports late is loaded now: no word is to wait for that.
      warm = np.zeros((running.MEMORY_FRAMES, cfg.num_features))
      running.tracked(warm, self._moments)
    self._waiting = np.zeros(0, np.float32)
    self._num_samples = self.num_frames = 0

  def add(self, waveform: Float32[np.ndarray, ' samples']) -> Frames:
    """Frames that these samples complete."""
    self._num_samples += len(waveform)
    self._waiting = np.concatenate([self._waiting, waveform])
    window = features.window_length(self._cfg)
    hop = features.hop_length(self._cfg)
    count = max(0, (len(self._waiting) - window) // hop + 1)
    if not count:
      return self._none()
    complete = self._waiting[: (count - 1) * hop + window]
    self._waiting = self._waiting[count * hop :]
    return self._normalized(features.extract(complete, self._cfg))

  def finish(self) -> Frames:
    """The last frame, where samples wait that are in no other."""
    if not self._num_samples:
      return self._none()
    total = features.num_frames(self._num_samples, self._cfg)
    if total == self.num_frames:
      return self._none()
    return self._normalized(features.extract(self._waiting, self._cfg))

  def _none(self) -> Frames:
    return np.zeros((0, self._cfg.num_features), np.float32)

  def _normalized(self, values: Frames) -> Frames:
    self.num_frames += len(values)
    if self._moments is not None:
      values, self._moments = features.continued(values, self._moments)
      return values
    return features.normalize(values, self._cfg.normalization, self._statistics)


def check(cfg: config.FeaturesConfig) -> None:
  """Raises ConfigError for features that need the whole of an utterance."""
  if cfg.normalization is config.Normalization.UTTERANCE:
    raise config.ConfigError(
      'features.normalization=utterance; want running, global or none for a '
      'stream, whose mean over the whole would be known at its end.'
    )
  if cfg.dynamic_range_db:
    raise config.ConfigError(
      f'features.dynamic_range_db={cfg.dynamic_range_db:g}; want 0 for a '
      'stream, whose loudest moment may be still to come.'
    )
