"""Original and reconstructed features side by side, and scores by method.

  python -m fedjax_asr.figures.reconstruction ATTACK [ATTACK ...]

Each ATTACK is a directory that the job `attack` wrote.
"""

import json
import pathlib
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import h5py
import matplotlib.colors
import matplotlib.figure
import numpy as np

from fedjax_asr import config, run_error, run_files
from fedjax_asr.attacks import score_summary
from fedjax_asr.figures import feature_axes, style

# Of the logarithm of errors: what is exact in float32, and what is as wrong as
# another's speech, are at the ends in every figure.
_LOG_ERRORS = (-8.0, 1.0)
_TICKS = range(-8, 2, 2)
# Of a line under a method's points, so that neighbours do not touch.
_TICK_CHARACTERS = 20
# Text that a caption says of what is known, and the key of the ledger.
_KNOWN = (
  ('transcript', 'knows_transcript'),
  ('length', 'knows_length'),
  ('number of utterances', 'knows_num_utterances'),
)


def plot(path: pathlib.Path) -> list[pathlib.Path]:
  """Draws `figures/` of an attack and returns what was written.

  `reconstruction_<utterance>_<method>.png` of each that gave features, and
  `reconstruction_scores.png` of all. Reads `attack.json`, `reconstructions.h5`
  and, for the axes, the config of what was attacked.

  Raises:
    RunError: a file is missing, empty or damaged, or cannot be written.
  """
  files = run_files.RunFiles(path)
  records = _records(files.attack)
  cfg = feature_axes.of_attack(files.path, records[0]['round'])
  written = []
  with style.context():
    for record in records:
      pair = _pair(files, record)
      if pair is not None:
        figure = _comparison(record, *pair, cfg)
        file = files.reconstruction_figure(
          record['utterance'], record['method']
        )
        written.append(style.save(figure, file))
    figure = _scores(records)
    return [*written, style.save(figure, files.scores_figure)]


def _records(path: pathlib.Path) -> list[dict[str, Any]]:
  try:
    records = json.loads(path.read_text(encoding='utf-8'))
    for record in records:
      # Whether the keys are there; the ledger alone is looked into later.
      _ = [record[name] for name in _NAMES] + [record['ledger'].items()]
    records = [score_summary.read(record) for record in records]
  except OSError as error:
    raise run_error.RunError(f'{path}: {error.strerror}.') from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise run_error.RunError(
      f'{path}: {error!r}; want the scores of an attack.'
    ) from error
  if not records:
    raise run_error.RunError(f'{path} is empty; want a score or more.')
  return records


_NAMES = (
  'utterance',
  'round',
  'method',
  'refused',
  'is_certified',
  'num_frames',
  'num_frames_found',
  'snr_db',
  'mae',
  'correlation',
  'best_lag_correlation',
  'lag_frames',
)


def _pair(
  files: run_files.RunFiles, record: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray] | None:
  """Original and reconstruction; None where the method gave none."""
  try:
    with h5py.File(files.reconstructions, locking='best-effort') as file:
      group: Any = file[record['utterance']]
      if record['method'] not in group:
        return None
      return group['original'][()], group[record['method']][()]
  except (OSError, KeyError) as error:
    raise run_error.RunError(
      f'{files.reconstructions}: {error}; want the reconstructions that '
      f'{files.attack.name} scores.'
    ) from error


def _comparison(
  record: dict[str, Any],
  original: np.ndarray,
  found: np.ndarray,
  cfg: config.FeaturesConfig | None,
) -> matplotlib.figure.Figure:
  """Original, reconstruction and error, one above the other along time."""
  figure = matplotlib.figure.Figure(
    figsize=(style.WIDTH, 6.6), layout='constrained'
  )
  panels = figure.subplots(3, 1, sharex=True)
  _draw_values(figure, panels[:2], original, found, cfg)
  error = _log_error(found, original)
  image = _draw(
    panels[2], error, matplotlib.colors.Normalize(*_LOG_ERRORS), 'magma', cfg
  )
  bar = figure.colorbar(image, ax=panels[2], extend='both', ticks=_TICKS)
  bar.set_label('log\u2081\u2080 |error|\n(deviations of\nthe feature)')
  for panel in panels[1:]:
    _hatch_missing(panel, len(found), len(original), cfg)
  feature_axes.label(panels[2], panels, original.shape[1], cfg)
  panels[0].set_title('original')
  panels[1].set_title(_said(record))
  panels[2].set_title('error')
  panels[0].set_xlim(
    0, max(len(original), len(found)) * feature_axes.frame_seconds(cfg)
  )
  figure.suptitle(f'{record["utterance"]}, {_method(record)}', fontsize=12)
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


def _log_error(found: np.ndarray, original: np.ndarray) -> np.ndarray:
  """Where both have a frame, in deviations of the original's features."""
  length = min(len(found), len(original))
  error = np.abs(found[:length].astype(np.float64) - original[:length])
  error /= feature_axes.deviations(original)
  return np.log10(np.maximum(error, 10.0 ** (_LOG_ERRORS[0] - 1)))


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


def _method(record: dict[str, Any]) -> str:
  """Its name, and what it was told: results of other ledgers do not compare."""
  ledger = record['ledger']
  known = ', '.join(text for text, key in _KNOWN if ledger.get(key))
  told = [f'told: {known}'] if known else []
  if ledger.get('prior'):
    told.append(f'prior: {ledger["prior"]}')
  name = record['method'].replace('_', ' ')
  return f'{name}\n({"; ".join(told)})' if told else name


def _scores(records: list[dict[str, Any]]) -> matplotlib.figure.Figure:
  methods = _by_method(records)
  size = (max(style.WIDTH, 1.7 * len(methods) + 1), 6.6)
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  snr, correlation = figure.subplots(2, 1, sharex=True)
  snr.axhline(0, color=style.INK, linewidth=0.8)  # Where silence would be.
  for index, of_method in enumerate(methods.values()):
    color = style.DISTINCT[index % len(style.DISTINCT)]
    _strip(snr, index, of_method, 'snr_db', color)
    _strip(correlation, index, of_method, 'best_lag_correlation', 'none', color)
    _strip(correlation, index, of_method, 'correlation', color)
  snr.set_title('each utterance; bar: the median,\nrefusals inside')
  snr.set_ylabel('SNR (dB)')
  correlation.set_title('ring: at the best time lag')
  correlation.set_ylabel('correlation')
  correlation.set_ylim(min(0, correlation.get_ylim()[0]), 1.04)
  correlation.set_xticks(range(len(methods)), _ticks(methods))
  for axes in (snr, correlation):
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.grid(False, axis='x')
  return figure


def _by_method(
  records: list[dict[str, Any]],
) -> dict[str, list[dict[str, Any]]]:
  """What was refused used nothing: it stands with what its method found."""
  names = {
    record['method']: _method(record)
    for record in records
    if not record['refused']
  }
  methods: dict[str, list[dict[str, Any]]] = {}
  for record in records:
    name = _method(record)
    if record['refused']:
      name = names.get(record['method'], name)
    methods.setdefault(name, []).append(record)
  return methods


def _ticks(methods: dict[str, list[dict[str, Any]]]) -> list[str]:
  """Names of methods, and how many of their utterances have no point."""
  ticks = []
  for name, records in methods.items():
    num_refused = sum(not score_summary.is_found(record) for record in records)
    counted = f'\n{num_refused} of {len(records)} refused'
    lines = (name + (counted if num_refused else '')).splitlines()
    ticks.append(
      '\n'.join(textwrap.fill(line, _TICK_CHARACTERS) for line in lines)
    )
  return ticks


def _strip(axes, position, records, name, face, edge=None) -> None:
  """A point for each utterance, from left to right; a bar at the median.

  Neither where there is no score.
  """
  scores = [record[name] for record in records]
  spread = np.linspace(-0.2, 0.2, len(scores)) if len(scores) > 1 else [0.0]
  points = {
    position + place: score
    for place, score in zip(spread, scores, strict=True)
    if score is not None
  }
  if not points:
    return
  size = 22 if edge is None else 60
  axes.scatter(
    list(points),
    list(points.values()),
    size,
    facecolors=face,
    edgecolors=edge or face,
  )
  median = score_summary.median(scores)
  if edge is None and median is not None:
    axes.hlines(median, position - 0.32, position + 0.32, color=face)


def main(argv: Sequence[str]) -> int:
  if len(argv) < 2:
    print(__doc__, file=sys.stderr)
    return 2
  try:
    for path in argv[1:]:
      print(*plot(pathlib.Path(path)), sep='\n')
  except config.UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv))
