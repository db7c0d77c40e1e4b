"""What the axes of a picture of features say: seconds, hertz, coefficients."""

import pathlib
from typing import Any

import matplotlib.ticker
import numpy as np
from jaxtyping import Float

from fedjax_asr import config, run_config, run_error, run_files, run_history
from fedjax_asr.speech import features

# Of bands, those that are written on the axis.
_HERTZ = (0, 250, 500, 1000, 2000, 4000, 8000)


def of_attack(
  path: pathlib.Path, round_index: int
) -> config.FeaturesConfig | None:
  """The settings of what an attack reconstructed, which are the run's.

  None where they are not known: a directory without its config, or whose run
  lies elsewhere by now.

  Raises:
    RunError: a config is damaged.
  """
  file = run_files.RunFiles(path).config_json
  if not file.is_file():
    return None
  try:
    values = run_config.read(file)
    if run := values['attack']['run']:
      file = run_files.RunFiles(run).config_json
      file = run_history.of_round(file, round_index)
      if not file.is_file():
        return None
      values = run_config.read(file)
    return config.from_dict(config.FeaturesConfig, values['features'])
  except (KeyError, TypeError, config.ConfigError) as error:
    raise run_error.RunError(
      f'{file}: {error!r}; want the config of an attack or of a run.'
    ) from error


def shown(
  values: Float[np.ndarray, 'frames features'],
  original: Float[np.ndarray, 'original_frames features'],
  cfg: config.FeaturesConfig | None,
) -> Float[np.ndarray, 'frames features']:
  """Values as colours show them: of MFCC, coefficient by coefficient.

  The first few hold most of their energy, so that nothing of the others would
  be seen: each is drawn in deviations of the original's from its mean.
  """
  if _kind(cfg) is not config.FeatureKind.MFCC:
    return values
  return (values - original.mean(0)) / deviations(original)


def deviations(
  original: Float[np.ndarray, 'frames features'],
) -> Float[np.ndarray, ' features']:
  """Of each feature over the frames; a constant's counts as `MIN_STD`."""
  return np.maximum(original.std(0), features.MIN_STD)


def scale(
  original: Float[np.ndarray, 'frames features'],
  cfg: config.FeaturesConfig | None,
) -> Float[np.ndarray, ' features']:
  """What an error is measured by: the original's effective value.

  Of MFCC the deviation of each coefficient, as `shown` has it; of an original
  that is zero throughout, `MIN_STD`.
  """
  if _kind(cfg) is config.FeatureKind.MFCC:
    return deviations(original)
  rms = np.sqrt(np.mean(original.astype(np.float64) ** 2))
  return np.full(original.shape[1], max(rms, features.MIN_STD))


def reference(cfg: config.FeaturesConfig | None) -> str:
  """What `scale` is, for a label."""
  if _kind(cfg) is config.FeatureKind.MFCC:
    return "the\ncoefficient's deviation"
  return "the\noriginal's rms"


def unit(cfg: config.FeaturesConfig | None) -> str:
  """What `shown` is in."""
  if cfg is None or cfg.kind is config.FeatureKind.PRECOMPUTED:
    return 'feature'
  if cfg.kind is config.FeatureKind.MFCC:
    return 'deviations of\nthe coefficient'
  if cfg.normalization is not config.Normalization.NONE:
    return 'deviations'
  is_magnitude = cfg.kind is config.FeatureKind.LOG_SPECTROGRAM
  return 'ln magnitude' if is_magnitude else 'ln power'


def frame_seconds(cfg: config.FeaturesConfig | None) -> float:
  """From one frame to the next; 1 where that is not known."""
  return 1.0 if cfg is None else cfg.hop_ms / 1000


def label(
  time_axis: Any,
  feature_axes: Any,
  num_features: int,
  cfg: config.FeaturesConfig | None,
) -> None:
  """Says what is along the axes, the lowest feature being at 0 to 1."""
  time_axis.set_xlabel('frame' if cfg is None else 'time (s)')
  hertz = _centres(cfg, num_features)
  for axes in feature_axes:
    if _kind(cfg) is config.FeatureKind.MFCC:
      axes.set_ylabel('cepstral\ncoefficient')
      axes.yaxis.set_major_locator(matplotlib.ticker.MultipleLocator(10))
    elif hertz is None:
      axes.set_ylabel('feature')
    else:
      axes.set_ylabel('frequency (Hz)')
      ticks = _ticks(hertz)
      axes.set_yticks(list(ticks), [f'{each}' for each in ticks.values()])


def _ticks(hertz: Float[np.ndarray, ' bands']) -> dict[float, int]:
  """Round frequencies by place; on a linear axis the low ones would touch."""
  places = {
    float(np.interp(each, hertz, np.arange(len(hertz)))) + 0.5: each
    for each in _HERTZ
    if hertz[0] <= each <= hertz[-1]
  }
  ticks: dict[float, int] = {}
  # From above, each at least a seventh of the axis from the one before.
  for place in sorted(places, reverse=True):
    if not ticks or min(ticks) - place >= len(hertz) / 7:
      ticks[place] = places[place]
  return ticks


def _centres(
  cfg: config.FeaturesConfig | None, num_features: int
) -> Float[np.ndarray, ' bands'] | None:
  """Hertz of each feature; None where it is of no frequency."""
  kind = _kind(cfg)
  if cfg is None or num_features != cfg.num_features:
    return None
  if kind is config.FeatureKind.LOG_MEL:
    return features.mel_edges(cfg)[1:-1]
  if kind is config.FeatureKind.LOG_SPECTROGRAM:
    return np.arange(num_features) * cfg.sample_rate / cfg.fft_size
  return None


def _kind(cfg: config.FeaturesConfig | None) -> config.FeatureKind | None:
  return None if cfg is None else cfg.kind
