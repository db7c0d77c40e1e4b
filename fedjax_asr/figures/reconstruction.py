"""Original and reconstructed features one above the other, and the error."""

import textwrap
from typing import Any

import matplotlib.colors
import matplotlib.figure
import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.figures import (
  certificate_text,
  drawn_attack,
  feature_axes,
  style,
)

# Decibels from end to end of the error's colours, at least, and what their ends
# are rounded to.
_LEAST_RANGE = 20.0
_ROUNDED = 10.0
# Of all errors, those that the colours leave to their ends.
_ENDS = (1.0, 99.9)
_CAPTION_CHARACTERS = 68
_TITLE_CHARACTERS = 54


def draw(
  attack: drawn_attack.DrawnAttack, record: drawn_attack.Record
) -> matplotlib.figure.Figure | None:
  """Of one utterance by one method; None where that gave no features.

  Raises:
    RunError: features are missing or damaged.
  """
  pair = attack.pair(record)
  if pair is None:
    return None
  with style.context():
    return _comparison(record, *pair, attack.features)


def _comparison(
  record: dict[str, Any],
  original: np.ndarray,
  found: np.ndarray,
  cfg: config.FeaturesConfig | None,
) -> matplotlib.figure.Figure:
  """Original, reconstruction and error, one above the other along time."""
  figure = matplotlib.figure.Figure(
    figsize=(style.WIDTH, 7.4), layout='constrained'
  )
  panels = figure.subplots(3, 1, sharex=True)
  _draw_values(figure, panels[:2], original, found, cfg)
  _draw_error(figure, panels[2], error_db(found, original, cfg), cfg)
  for panel in panels[1:]:
    _hatch_missing(panel, len(found), len(original), cfg)
  feature_axes.label(panels[2], panels, original.shape[1], cfg)
  panels[0].set_title('original')
  panels[1].set_title(_said(record))
  panels[0].set_xlim(
    0, max(len(original), len(found)) * feature_axes.frame_seconds(cfg)
  )
  name = style.drawable(record['utterance'])
  lines = f'{name}, {drawn_attack.method(record)}'.splitlines()
  title = '\n'.join(textwrap.fill(line, _TITLE_CHARACTERS) for line in lines)
  figure.suptitle(title, fontsize=12, parse_math=False)
  caption = textwrap.fill(certificate_text.said(record), _CAPTION_CHARACTERS)
  figure.supxlabel(caption, fontsize=10, x=0.02, ha='left')
  return figure


def _draw_values(figure, panels, original, found, cfg) -> None:
  pair = [
    feature_axes.shown(values, original, cfg) for values in (original, found)
  ]
  norm = matplotlib.colors.Normalize(*np.percentile(pair[0], (0.5, 99.5)))
  images = [
    _draw(panel, values, norm, 'viridis', cfg)
    for panel, values in zip(panels, pair, strict=True)
  ]
  bar = figure.colorbar(images[0], ax=panels, extend='both')
  bar.set_label(feature_axes.unit(cfg))


def _draw_error(figure, axes, level, cfg) -> None:
  """With a colour bar of its own, from the least error to the largest."""
  low, high = colour_range(level)
  # Of what is exact: below the least of the colours.
  drawn = np.maximum(level, low - _LEAST_RANGE)
  norm = matplotlib.colors.Normalize(low, high)
  image = _draw(axes, drawn, norm, 'magma', cfg)
  bar = figure.colorbar(image, ax=axes, extend='both')
  bar.set_label(f'dB of {feature_axes.reference(cfg)}')
  axes.set_title(_level_said(level))


def _level_said(level: Float64[np.ndarray, 'frames features']) -> str:
  if not level.size:
    return 'error: no frame that both have'
  powers = 10 ** (level / 10)
  if not powers.any():
    return 'error: none, every value is exact'
  low, high = colour_range(level)
  mean = 10 * np.log10(powers.mean())
  return f'error: rms {mean:.0f} dB, colours {low:.0f} to {high:.0f} dB'


def colour_range(
  level: Float64[np.ndarray, 'frames features'],
) -> tuple[float, float]:
  """Decibels at the ends of the colours: round, and of nearly all errors."""
  finite = level[np.isfinite(level)]
  if not finite.size:
    return -_LEAST_RANGE, 0.0
  low, high = np.percentile(finite, _ENDS)
  high = _ROUNDED * np.ceil(high / _ROUNDED)
  low = min(_ROUNDED * np.floor(low / _ROUNDED), high - _LEAST_RANGE)
  return float(low), float(high)


def error_db(
  found: np.ndarray, original: np.ndarray, cfg: config.FeaturesConfig | None
) -> Float64[np.ndarray, 'frames features']:
  """20 log10(|error| / reference) where both have a frame.

  Minus infinity where a value is exact. The reference is that of
  `feature_axes.scale`: where it is the original's effective value, the error's
  mean power is the SNR with another sign, as long as no frame is lacking.
  """
  length = min(len(found), len(original))
  error = np.abs(found[:length].astype(np.float64) - original[:length])
  with np.errstate(divide='ignore'):
    return 20 * np.log10(error / feature_axes.scale(original, cfg))


def _draw(
  axes: Any, values: np.ndarray, norm: Any, colors: str, cfg: Any
) -> Any:
  axes.grid(False)
  seconds = max(len(values), 1) * feature_axes.frame_seconds(cfg)
  return axes.imshow(
    values.T,
    aspect='auto',
    origin='lower',
    norm=norm,
    cmap=colors,
    interpolation='nearest',
    extent=(0, seconds, 0, values.shape[1]),
  )


def _hatch_missing(axes: Any, found: int, original: int, cfg: Any) -> None:
  """Over the frames that one of the two lacks."""
  if found != original:
    seconds = feature_axes.frame_seconds(cfg)
    axes.axvspan(
      *sorted((found * seconds, original * seconds)),
      facecolor='none',
      edgecolor=style.INK,
      hatch='//',
      linewidth=0,
    )


def _said(record: dict[str, Any]) -> str:
  """Its score, and what its certificate says of how much of it."""
  said = f'reconstruction: {record["snr_db"]:.1f} dB'
  frames = f'{record["num_frames_found"]} of {record["num_frames"]} frames'
  if not record['is_certified']:
    said += f'\nnot certified; correlation {record["correlation"]:.2f}'
    if record['lag_frames']:
      best = record['best_lag_correlation']
      said += f',\n{best:.2f} at {record["lag_frames"]:+d} frames'
    return said
  if record.get('is_whole', True):
    return f'{said}, certified'
  determined = record.get('determined_snr_db')
  if determined is not None:
    frames += f',\n{determined:.1f} dB of what is determined'
  return f'{said},\ncertified in part: {frames}'
