"""Settings of descent that `baselines.py` tries, and which of them it reports.

Every distance is tried with every way down; what else there is (a prior of
speech, smoothing, rates, total variation) is varied from there, one at a time.
Of tuning, what counts is the median SNR over its utterances, failures inside.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fedjax_asr import config
from fedjax_asr.attacks.measure import score_summary

MATCHING = config.AttackMethod.GRADIENT_MATCHING.value
HESSIAN_FREE = config.AttackMethod.HESSIAN_FREE.value
Cell = dict[str, Any]

_ADAM, _SIGNED, _LBFGS = (
  config.MatchingOptimizer.ADAM.value,
  config.MatchingOptimizer.SIGNED_ADAM.value,
  config.MatchingOptimizer.LBFGS.value,
)
_RATES = {_ADAM: (0.03, 0.1, 0.3), _SIGNED: (0.03, 0.1)}
_PRIORS = (1e-4, 1e-3, 1e-2)
_TOTAL_VARIATION = 1e-4
_SMOOTHING = 0.3
_RADII = (0.3, 1.0, 3.0)
_OF_BUDGET = ('num_iterations', 'num_restarts', 'max_iterations')


def tuned(iterations: int, restarts: int, searched: int) -> list[Cell]:
  """All that is tried on the utterances for tuning, by method and field.

  `iterations`, `restarts`: of gradient matching; `searched`: iterations of the
  Hessian-free search.
  """
  cells = []
  for distance in config.Distance:
    for way in _ways():
      cells.append({'distance': distance.value} | way)
    adam = {'distance': distance.value, 'optimizer': _ADAM}
    cells += [
      adam | {'learning_rate': 0.1, 'speech_prior': prior} for prior in _PRIORS
    ]
    cells.append(adam | {'learning_rate': 0.1, 'smoothing': _SMOOTHING})
    cells.append(
      adam
      | {
        'learning_rate': 0.1,
        'smoothing': _SMOOTHING,
        'speech_prior': _PRIORS[1],
      }
    )
    cells.append(adam | {'learning_rate': 0.1, 'per_layer': True})
    cells.append(
      {
        'distance': distance.value,
        'optimizer': _LBFGS,
        'speech_prior': _PRIORS[1],
      }
    )
  budget = {'num_iterations': iterations, 'num_restarts': restarts}
  # As the rate falls four times in all, however many iterations there are.
  halved = {'halve_every': max(iterations // 5, 1)}
  matching = [
    {'method': MATCHING} | cell | budget | _falling(cell, halved)
    for cell in cells
  ]
  return matching + [
    {
      'method': HESSIAN_FREE,
      'radius': radius,
      'min_radius': radius / 4,
      'patience': max(searched // 20, 1),
      'max_iterations': searched,
    }
    for radius in _RADII
  ]


def _ways() -> Iterable[Cell]:
  for optimizer, rates in _RATES.items():
    for rate in rates:
      way = {'optimizer': optimizer, 'learning_rate': rate}
      if optimizer == _SIGNED:
        way['total_variation_time'] = _TOTAL_VARIATION
      yield way
  yield {'optimizer': _LBFGS}


def _falling(cell: Cell, halved: Cell) -> Cell:
  return {} if cell['optimizer'] == _LBFGS else halved


def reported(
  rows: Sequence[dict[str, Any]], iterations: int, restarts: int, searched: int
) -> list[Cell]:
  """What is best of each kind on the utterances for tuning, at full strength.

  Kinds are distances with and without a prior, ways down, and the Hessian-free
  search. A setting that is the best of several kinds is there once.
  """
  best: dict[tuple[str, ...], dict[str, Any]] = {}
  for row in rows:
    for kind in _kinds(row['cell']):
      if kind not in best or _median(row) > _median(best[kind]):
        best[kind] = row
  chosen = []
  for row in best.values():
    cell = _at_full(row['cell'], iterations, restarts, searched)
    if cell not in chosen:
      chosen.append(cell)
  return chosen


def _kinds(cell: Cell) -> list[tuple[str, ...]]:
  if cell['method'] == HESSIAN_FREE:
    return [(HESSIAN_FREE,)]
  prior = 'prior' if 'speech_prior' in cell else 'no prior'
  return [(cell['distance'], prior), (cell['optimizer'],)]


def _at_full(cell: Cell, iterations: int, restarts: int, searched: int) -> Cell:
  if cell['method'] == HESSIAN_FREE:
    return cell | {
      'max_iterations': searched,
      # The published patience, of as many iterations.
      'patience': max(searched // 20, 1),
    }
  full = cell | {'num_iterations': iterations, 'num_restarts': restarts}
  if 'halve_every' in cell:
    full['halve_every'] = max(iterations // 5, 1)
  return full


def _median(row: dict[str, Any]) -> float:
  middle = score_summary.median([each['snr_db'] for each in row['utterances']])
  return float('-inf') if middle is None else middle


def named(cell: Cell) -> str:
  """In a line, without what it may take."""
  words = [
    f'{name}={value:g}' if isinstance(value, float) else f'{name}={value}'
    for name, value in cell.items()
    if name not in ('method', *_OF_BUDGET)
  ]
  return ', '.join([cell['method'], *words])
