"""Whether feature files are what `config.features` says, taken together.

A file that somebody else computed does not say how. What can be known from
all of them is compared with the config, so that a run ends in one line and
not in hundreds of skipped utterances, or in a model that learns nothing. Rows
of audio are not looked at.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fedjax_asr import config
from fedjax_asr.corpora import problem, store, utterance
from fedjax_asr.speech import features

# Frames may differ from duration * rate by this fraction, and by so many:
# windows that would reach beyond the ends are padded by some and left out by
# others, and durations are rounded.
_RATE_TOLERANCE = 0.03
_EDGE_FRAMES = 5
# Files that means and deviations are taken of.
_NUM_SAMPLED = 200
# Normalised by other utterances than these, features are not quite 0 and 1.
_MAX_MEAN, _MIN_STD, _MAX_STD = 1.0, 0.3, 3.0


class _Rates(NamedTuple):
  """Rows of feature files that have a duration."""

  rows: Int[np.ndarray, 'rows']
  frames: Int[np.ndarray, 'rows']
  seconds: Float[np.ndarray, 'rows']


def check_sources(
  utterances: Sequence[utterance.Utterance], cfg: config.FeaturesConfig
) -> None:
  """Raises `ConfigError` for audio whose features would be precomputed."""
  if cfg.kind is not config.FeatureKind.PRECOMPUTED:
    return
  audio = [item for item in utterances if not _is_file(item)]
  if audio:
    raise config.ConfigError(
      f"config.features.kind='precomputed', but {len(audio)} of "
      f'{len(utterances)} utterances are audio, such as '
      f'{audio[0].source.describe()}; want a features_filepath for each, or a '
      'kind that is computed from audio.'
    )


def check(
  utterances: Sequence[utterance.Utterance],
  feature_store: store.FeatureStore,
  cfg: config.FeaturesConfig,
) -> list[problem.Problem]:
  """Warnings about rows whose `duration` is not that of their frames.

  Rows without a duration, or with one of 0, say nothing about the frame rate.

  Raises:
    ConfigError: most files have another number of features, the median frame
      rate is not 1000 / `cfg.hop_ms`, or features are not normalised where
      `cfg.normalization` is none (or too small to be, where it is not).
  """
  rows = [index for index, item in enumerate(utterances) if _is_file(item)]
  if not rows:
    return []
  _check_width([utterances[row] for row in rows], feature_store.failures, cfg)
  usable = [row for row in rows if feature_store.num_frames[row]]
  rates = _rates(utterances, feature_store.num_frames, usable)
  _check_rate(rates, cfg)
  if usable:
    _check_scale(feature_store, _spread(usable, _NUM_SAMPLED), cfg)
  return _odd_durations(utterances, rates, cfg)


def _is_file(item: utterance.Utterance) -> bool:
  return isinstance(item.source, utterance.FeatureFile)


def _spread(rows: Sequence[int], count: int) -> list[int]:
  """At most so many of them, evenly spaced."""
  places = np.linspace(0, len(rows) - 1, min(count, len(rows)))
  return [rows[place] for place in places.astype(int)]


def _check_width(
  items: Sequence[utterance.Utterance],
  failures: dict[str, problem.Problem],
  cfg: config.FeaturesConfig,
) -> None:
  """A few files among good ones are left to be skipped and listed."""
  kinds = [item.id in failures and failures[item.id].kind for item in items]
  wrong = [
    item.source
    for item, kind in zip(items, kinds, strict=True)
    if kind == problem.Kind.WRONG_WIDTH
    and isinstance(item.source, utterance.FeatureFile)
  ]
  num_right = sum(kind in (False, problem.Kind.TOO_LONG) for kind in kinds)
  if len(wrong) > num_right:
    raise config.ConfigError(
      f'config.features.num_features={cfg.num_features}, but {len(wrong)} of '
      f'{len(items)} feature files have {_width(wrong, cfg)}.'
    )


def _width(
  wrong: Sequence[utterance.FeatureFile], cfg: config.FeaturesConfig
) -> str:
  """What files have instead, and what is to be done."""
  sampled = _spread(range(len(wrong)), _NUM_SAMPLED)
  shapes = [wrong[place].shape() for place in sampled]
  heights = {shape[0] for shape in shapes}
  widths = Counter(shape[1] for shape in shapes)
  first = wrong[0].describe()
  if len(heights) == 1 < len(widths):
    return (
      f'another number of columns and all of them {heights.pop()} rows, such '
      f'as {first}; want [frames, features], not the transpose'
    )
  ((width, _),) = widths.most_common(1)
  wanted = f'config.features.num_features={width}'
  if cfg.kind is not config.FeatureKind.PRECOMPUTED:
    wanted = f'config.features.kind=precomputed and {wanted}'
  return f'{width} columns, such as {first}; want {wanted}'


def _rates(
  utterances: Sequence[utterance.Utterance],
  num_frames: Int[np.ndarray, ' utterances'],
  usable: Sequence[int],
) -> _Rates:
  rows = np.array([r for r in usable if utterances[r].duration > 0], int)
  seconds = np.array([utterances[row].duration for row in rows], float)
  return _Rates(rows=rows, frames=num_frames[rows], seconds=seconds)


def _check_rate(rates: _Rates, cfg: config.FeaturesConfig) -> None:
  if not len(rates.rows):
    return
  # The edges of windows weigh least in the longer half.
  longer = rates.seconds >= np.median(rates.seconds)
  seconds = rates.seconds[longer]
  rate = float(np.median(rates.frames[longer] / seconds))
  wanted = 1000 / cfg.hop_ms
  edges = _EDGE_FRAMES / float(np.median(seconds))
  if abs(rate - wanted) > _RATE_TOLERANCE * wanted + edges:
    raise config.ConfigError(
      f'config.features.hop_ms={cfg.hop_ms:g} is {wanted:g} frames a second, '
      f'but the feature files have {rate:.4g} by the durations (seconds) of '
      f'{len(rates.rows)} rows; want config.features.hop_ms={_hop(rate)}.'
    )


def _hop(rate: float) -> str:
  """In milliseconds; a multiple of a half where that is as good."""
  hop = 1000 / rate
  rounded = round(2 * hop) / 2
  return f'{rounded if abs(rounded - hop) < 0.02 * hop else hop:.4g}'


def _odd_durations(
  utterances: Sequence[utterance.Utterance],
  rates: _Rates,
  cfg: config.FeaturesConfig,
) -> list[problem.Problem]:
  expected = rates.seconds * 1000 / cfg.hop_ms
  allowed = _RATE_TOLERANCE * expected + _EDGE_FRAMES
  is_odd = np.abs(rates.frames - expected) > allowed
  return [
    problem.Problem(
      utterances[row].id,
      utterances[row].source.describe(),
      problem.Kind.ODD_DURATION,
      f'{frames} frames of {cfg.hop_ms:g} ms for a duration of {seconds:g} s.',
    )
    for row, frames, seconds in zip(
      *(column[is_odd].tolist() for column in rates), strict=True
    )
  ]


def _check_scale(
  feature_store: store.FeatureStore,
  rows: Sequence[int],
  cfg: config.FeaturesConfig,
) -> None:
  mean, std = features.statistics(map(feature_store.features, rows))
  if cfg.normalization is config.Normalization.NONE:
    _check_normalized(mean, std, len(rows))
  # What is constant throughout says nothing about the scale.
  elif 0 < std.max() < features.MIN_STD:
    raise config.ConfigError(
      f'config.features.normalization={cfg.normalization.value!r} takes '
      f'deviations under {features.MIN_STD:g} for constants, but the feature '
      f'files have at most {std.max():.3g}; want files of a larger scale.'
    )


def _check_normalized(
  mean: Float[np.ndarray, 'features'],
  std: Float[np.ndarray, 'features'],
  num_files: int,
) -> None:
  # What is constant may be 0 with a deviation of 0.
  typical = float(np.sqrt(np.mean(np.square(std))))
  is_bad = (np.abs(mean) > _MAX_MEAN) | (std > _MAX_STD)
  if not is_bad.any() and typical >= _MIN_STD:
    return
  worst = int(np.argmax(np.maximum(np.abs(mean) / _MAX_MEAN, std / _MAX_STD)))
  raise config.ConfigError(
    "config.features.normalization='none', but the feature files are not "
    f'normalised: feature {worst} has mean {mean[worst]:.4g} and standard '
    f'deviation {std[worst]:.4g} over {num_files} files; want '
    "'utterance' or 'global'."
  )
