"""Original and reconstructed features side by side, and scores by method.

  python -m fedjax_asr.figures.reconstruction ATTACK [ATTACK ...]

Each ATTACK is a directory that the job `attack` wrote.
"""

import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import h5py
import matplotlib.colors
import matplotlib.figure
import numpy as np

from fedjax_asr import config, run_directory
from fedjax_asr.attacks import score_summary
from fedjax_asr.figures import style

# What is right shows the page, whether that is light or dark.
_DIFFERENCE = matplotlib.colors.LinearSegmentedColormap.from_list(
  'difference',
  [
    (0.0, style.BLUE),
    (0.5, style.BLUE + '00'),
    (0.5, style.ORANGE + '00'),
    (1.0, style.ORANGE),
  ],
)
# Text that a caption says of what is known, and the key of the ledger.
_KNOWN = (
  ('transcript', 'knows_transcript'),
  ('length', 'knows_length'),
  ('number of utterances', 'knows_num_utterances'),
)


def plot(path: pathlib.Path) -> list[pathlib.Path]:
  """Draws `figures/` of an attack and returns what was written.

  `reconstruction_<utterance>_<method>.png` of each that gave features, and
  `reconstruction_scores.png` of all. Reads `attack.json` and
  `reconstructions.h5` and nothing else.

  Raises:
    RunError: a file is missing, empty or damaged, or cannot be written.
  """
  path = pathlib.Path(path)
  records = _records(path / 'attack.json')
  written = []
  with style.context():
    for record in records:
      pair = _pair(path / 'reconstructions.h5', record)
      if pair is not None:
        name = f'reconstruction_{record["utterance"]}_{record["method"]}'
        name = re.sub(r'[^\w.-]', '_', name)
        figure = _comparison(record, *pair)
        written.append(style.save(figure, path / 'figures' / f'{name}.png'))
    figure = _scores(records)
    scores = path / 'figures' / 'reconstruction_scores.png'
    return [*written, style.save(figure, scores)]


def _records(path: pathlib.Path) -> list[dict[str, Any]]:
  try:
    records = json.loads(path.read_text(encoding='utf-8'))
    for record in records:
      # Whether the keys are there; the ledger alone is looked into later.
      _ = [record[name] for name in _NAMES] + [record['ledger'].items()]
    records = [score_summary.read(record) for record in records]
  except OSError as error:
    raise run_directory.RunError(f'{path}: {error.strerror}.') from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise run_directory.RunError(
      f'{path}: {error!r}; want the scores of an attack.'
    ) from error
  if not records:
    raise run_directory.RunError(f'{path} is empty; want a score or more.')
  return records


_NAMES = (
  'utterance',
  'method',
  'refused',
  'num_frames_found',
  'snr_db',
  'mae',
  'correlation',
  'best_lag_correlation',
  'lag_frames',
)


def _pair(
  path: pathlib.Path, record: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray] | None:
  """Original and reconstruction; None where the method gave none."""
  try:
    with h5py.File(path, locking='best-effort') as file:
      group: Any = file[record['utterance']]
      if record['method'] not in group:
        return None
      return group['original'][()], group[record['method']][()]
  except (OSError, KeyError) as error:
    raise run_directory.RunError(
      f'{path}: {error}; want the reconstructions that attack.json scores.'
    ) from error


def _comparison(
  record: dict[str, Any], original: np.ndarray, found: np.ndarray
) -> matplotlib.figure.Figure:
  figure = matplotlib.figure.Figure(figsize=(11, 3.4), layout='constrained')
  panels = figure.subplots(1, 3, sharex=True, sharey=True)
  low, high = np.percentile(original, (0.5, 99.5))
  values = matplotlib.colors.Normalize(low, high)
  half = max((high - low) / 2, np.finfo(np.float32).tiny)
  errors = matplotlib.colors.Normalize(-half, half)
  image = _draw(panels[0], original, values, 'viridis')
  _draw(panels[1], found, values, 'viridis')
  figure.colorbar(image, ax=panels[:2], pad=0.01)
  difference = _padded_difference(found, original)
  image = _draw(panels[2], difference, errors, _DIFFERENCE)
  figure.colorbar(image, ax=panels[2])
  panels[0].set_ylabel('feature')
  panels[0].set_title('original')
  panels[1].set_title(f'reconstruction: {_said(record)}')
  panels[2].set_title(f'difference: {record["mae"]:.2g} on average')
  figure.suptitle(
    f'{record["utterance"]}, {_method(record).replace(chr(10), " ")}',
    fontsize=11,
  )
  return figure


def _draw(axes: Any, values: np.ndarray, norm: Any, colors: Any) -> Any:
  axes.grid(False)
  axes.set_xlabel('frame')
  return axes.imshow(
    values.T,
    aspect='auto',
    origin='lower',
    norm=norm,
    cmap=colors,
    interpolation='nearest',
    extent=(0, max(len(values), 1), 0, values.shape[1]),
  )


def _padded_difference(found: np.ndarray, original: np.ndarray) -> np.ndarray:
  difference = np.zeros((max(len(found), len(original)), original.shape[1]))
  difference[: len(found)] += found
  difference[: len(original)] -= original
  return difference


def _said(record: dict[str, Any]) -> str:
  said = f'{record["snr_db"]:.1f} dB, correlation {record["correlation"]:.2f}'
  if record['lag_frames']:
    best = record['best_lag_correlation']
    said += f'\n({best:.2f} at {record["lag_frames"]:+d} frames)'
  return said


def _method(record: dict[str, Any]) -> str:
  """Its name, and what it was told: results of other ledgers do not compare."""
  ledger = record['ledger']
  known = [text for text, key in _KNOWN if ledger.get(key)]
  if ledger.get('prior'):
    known.append(f'prior: {ledger["prior"]}')
  name = record['method'].replace('_', ' ')
  return f'{name}\n(told: {", ".join(known)})' if known else name


def _scores(records: list[dict[str, Any]]) -> matplotlib.figure.Figure:
  methods = _by_method(records)
  size = (max(7.0, 2.4 * len(methods) + 2), 3.8)
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  snr, correlation = figure.subplots(1, 2)
  snr.axhline(0, color=style.INK, linewidth=0.8)  # Where silence would be.
  for index, of_method in enumerate(methods.values()):
    color = style.DISTINCT[index % len(style.DISTINCT)]
    _strip(snr, index, of_method, 'snr_db', color)
    _strip(correlation, index, of_method, 'best_lag_correlation', 'none', color)
    _strip(correlation, index, of_method, 'correlation', color)
  snr.set_title('SNR (dB); barred: the median, refusals inside')
  correlation.set_title('Correlation (ring: at the best time lag)')
  correlation.set_ylim(min(0, correlation.get_ylim()[0]), 1.04)
  for axes in (snr, correlation):
    axes.set_xticks(range(len(methods)), _ticks(methods))
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
    ticks.append(name + (counted if num_refused else ''))
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
