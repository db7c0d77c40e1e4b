"""Features back to a waveform that has about the same ones: to listen to.

What `features.extract` throws away, the phases and what lies between bands or
beyond the last cepstrum, is filled in: cepstra by zeros, bands by the
non-negative least squares of `librosa.feature.inverse`, phases by fast
Griffin-Lim (Perraudin et al. 2013).
"""

import inspect
import os
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float, Float32, Float64

from fedjax_asr import config, home
from fedjax_asr.speech import audio, features

NUM_ITERATIONS = 60
# Of power or magnitude; exp() of what an attack may give has no bound.
_MAX_LOG = 40.0


def waveform(
  values: Float[np.ndarray, 'frames features'],
  cfg: config.FeaturesConfig,
  statistics: features.Statistics | None = None,
  num_iterations: int = NUM_ITERATIONS,
) -> Float32[np.ndarray, 'samples']:
  """Speech whose features are near to these, at `cfg.sample_rate`.

  Finite and within [-1, 1], scaled down as a whole where it would not be; of
  as many samples as make so many frames. The same features always give the
  same waveform. Values that are not finite count as the mean.

  Args:
    values: in a model's input units; one frame or more.
    statistics: what normalised them; None where they are not normalised.

  Raises:
    ValueError: the features are precomputed, or there are no frames.
  """
  features.check_kind(cfg)
  if not len(values):
    raise ValueError('no frames; want one or more.')
  values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
  if statistics is not None:
    values = denormalized(values, statistics)
  magnitude = _magnitude(np.minimum(values, _MAX_LOG), cfg)
  samples = _griffin_lim(magnitude, cfg, num_iterations)
  peak = np.abs(samples).max()
  return (samples / max(peak, 1.0)).astype(np.float32)


def denormalized(
  values: Float[np.ndarray, 'frames features'], statistics: features.Statistics
) -> Float64[np.ndarray, 'frames features']:
  """Inverts `features.normalize` by the statistics it used."""
  std = np.maximum(statistics.std.astype(np.float64), features.MIN_STD)
  return values * std + statistics.mean


def write(
  path: str | os.PathLike[str],
  samples: Float[np.ndarray, 'samples'],
  sample_rate: int,
) -> None:
  """Writes a 16-bit WAV file.

  Raises:
    AudioError: the file cannot be written.
  """
  try:
    with open(path, 'wb') as file:
      soundfile.write(file, samples, sample_rate, 'PCM_16', format='WAV')
  except OSError as error:
    raise audio.AudioError(f'{path}: {error.strerror}.') from error


def _magnitude(
  values: np.ndarray, cfg: config.FeaturesConfig
) -> Float64[np.ndarray, 'bins frames']:
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    return np.exp(values).T
  if cfg.kind is config.FeatureKind.MFCC:
    basis = features.dct_basis(cfg.num_mels)[:, : values.shape[1]]
    values = np.minimum(values @ basis.T, _MAX_LOG)
  librosa = _librosa()
  power = librosa.util.nnls(features.mel_filters(cfg).T, np.exp(values).T)
  return np.sqrt(power)


def _librosa() -> Any:
  """Here, because it takes long to import, and numba wants a cache by then."""
  home.lend_to_libraries()
  import librosa

  return librosa


def _griffin_lim(
  magnitude: np.ndarray, cfg: config.FeaturesConfig, num_iterations: int
) -> Float64[np.ndarray, 'samples']:
  """A waveform whose frames lie as `features.extract` lays them.

  librosa puts a short window in the middle of the Fourier transform's frame
  and not at its start, which moves the waveform by the difference. The ends
  are repeated and cut off again: there, a sample lies under the foot of one
  window alone, which its division by the windows' sum would blow up.
  """
  librosa = _librosa()
  window, hop = features.window_length(cfg), features.hop_length(cfg)
  num_repeated = -(-cfg.fft_size // hop)
  num_samples = (magnitude.shape[1] - 1) * hop + window
  repeated = np.pad(magnitude, ((0, 0), (num_repeated, num_repeated)), 'edge')
  # librosa 1.0 renamed the seed.
  parameters = inspect.signature(librosa.griffinlim).parameters
  seed = 'rng' if 'rng' in parameters else 'random_state'
  options: dict[str, Any] = {seed: 0}
  samples = librosa.griffinlim(
    repeated,
    n_iter=num_iterations,
    hop_length=hop,
    win_length=window,
    n_fft=cfg.fft_size,
    window=features.hann_window(window),
    center=False,
    **options,
  )
  start = num_repeated * hop + (cfg.fft_size - window) // 2
  return samples[start : start + num_samples]
